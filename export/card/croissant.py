"""croissant.json: the release described for machines (MLCommons Croissant 1.0, https://mlcommons.org/croissant/1.0)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from annotation_site.figures import number_of
from export import layout
from export.card.card_facts import CardFacts
from export.card.vote_statistics import figure
from export.card.who_labelled import accuracy, pixels
from export.selection import LEFT_OUT

_CONFORMS = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_RECORDS = {
    layout.MANIFEST: ("images", "One row a picture.", layout.MANIFEST_SCHEMA),
    layout.VOTES: ("votes", "Every counted vote; workers are pseudonymous.", layout.VOTES_SCHEMA),
    layout.POSTERIORS: ("posteriors", "Soft labels: image x category probability.", layout.POSTERIORS_SCHEMA),
}


def croissant(facts: CardFacts, checksums: dict[str, str]) -> dict[str, Any]:
    """The document as a dict.

    Args:
        checksums: SHA-256 of each of the release's tables, by file name.
    """
    name, version = facts.release["name"], facts.release["version"]
    title = f"{facts.title or name}, version {version}"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS,
        "name": name,
        "description": facts.description.strip() or f"Image classification dataset {title}.",
        "version": version,
        "license": facts.licence or "unknown",
        "citeAs": title,
        "distribution": [
            *(_table_file(table, checksums[table]) for table in layout.TABLES),
            _picture_files(),
        ],
        "recordSet": [_splits(facts), _categories(facts), *map(_record_set, layout.TABLES), _pictures()],
        **_responsible(facts),
    }


def _responsible(facts: CardFacts) -> dict[str, Any]:
    """What is known of Croissant RAI 1.0 (docs.mlcommons.org/croissant/docs/croissant-rai-spec.html)."""
    counts = facts.release["counts"]
    here = [r for r in facts.rounds if not r.taken_over]
    asked = [f"{r.question}, {r.votes_min} to {r.votes_max} votes a picture" for r in here]
    blind = ["Blind votes by several workers, then consensus"] if here else []
    elsewhere = ["Votes that were given elsewhere and taken over"] if len(here) < len(facts.rounds) else []
    agreement = [
        f"{question}: Krippendorff's alpha {figure(found.alpha)}, Fleiss' kappa {figure(found.kappa)}"
        for question, found in facts.votes.agreement.items()
    ]
    shown = counts["images"] - (counts["test"] if facts.sealed else 0)
    per_item = counts["votes"] / shown if shown else 0
    known = {
        "rai:dataCollection": "; ".join(number_of(n, kind) for kind, n in facts.sources.items()),
        "rai:dataCollectionMissingData": "; ".join(
            f"{n:,}: {LEFT_OUT.get(key, key)}" for key, n in counts["left_out"].items()
        ),
        "rai:dataPreprocessingProtocol": pixels(facts.release["parameters"]),
        "rai:dataAnnotationProtocol": "; ".join([*blind, *asked, *elsewhere]),
        "rai:dataAnnotationPlatform": "Assay" if here else "",
        "rai:dataAnnotationAnalysis": "; ".join([*agreement, accuracy(facts.release)]),
        "rai:annotationsPerItem": f"{per_item:.2f} counted votes a picture on average",
        "rai:annotatorDemographics": f"{number_of(counts['workers'], 'worker')}, pseudonymous; nothing else "
        "is on record",
        "rai:dataUseCases": "Training and comparing image classifiers; studying labels and votes",
        "rai:dataLimitations": "Shows what its sources show; class shares are those of the collection",
        "rai:personalSensitiveInformation": "Not on record whether people can be recognised",
        "rai:dataReleaseMaintenancePlan": "Releases never change; takedowns make a small new version",
    }
    return {key: value for key, value in known.items() if value}


def _table_file(table: str, checksum: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": table,
        "name": table,
        "contentUrl": table,
        "encodingFormat": "application/x-parquet",
        "sha256": checksum,
    }


def _picture_files() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "pictures",
        "name": "pictures",
        "description": "The pictures as <split>/<category>/<image>.<ext>; checksums are in the manifest.",
        "encodingFormat": ["image/jpeg", "image/png", "image/webp"],
        "includes": [f"{split}/*/*" for split in layout.SPLITS],
    }


def _record_set(table: str) -> dict[str, Any]:
    """The rows of a table; splits and categories refer to the record sets that list them."""
    name, description, schema = _RECORDS[table]
    listed = {"images/split": "splits/name", "images/category": "categories/id"}
    fields = []
    for column in schema:
        source = {"fileObject": {"@id": table}, "extract": {"column": column.name}}
        field = _field(name, column.name, _data_type(column.type), source)
        if field["@id"] in listed:
            field["references"] = {"field": {"@id": listed[field["@id"]]}}
        fields.append(field)
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description, "field": fields}


def _field(records: str, name: str, kind: str, source: dict[str, Any] | None = None) -> dict[str, Any]:
    field = {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name, "dataType": kind}
    return field if source is None else field | {"source": source}


def _pictures() -> dict[str, Any]:
    """The pictures themselves, with what their place in the folder says."""
    source = {"fileSet": {"@id": "pictures"}}

    def part(what: str, regex: str) -> dict[str, Any]:
        return source | {"extract": {"fileProperty": what}, "transform": {"regex": regex}}

    return {
        "@type": "cr:RecordSet",
        "@id": "pixels",
        "name": "pixels",
        "description": "Every picture; `image` is `images/image` of its row, `category` its folder's name "
        "(`unlabelled` where the label is kept back).",
        "field": [
            _field("pixels", "image", "sc:Text", part("filename", r"^([0-9a-f]{64})\..*$")),
            _field("pixels", "split", "sc:Text", part("fullpath", r"^(?:.*/)?([^/]+)/[^/]+/[^/]+$")),
            _field("pixels", "category", "sc:Text", part("fullpath", r"^.*/([^/]+)/[^/]+$")),
            _field("pixels", "content", "sc:ImageObject", source | {"extract": {"fileProperty": "content"}}),
        ],
    }


def _splits(facts: CardFacts) -> dict[str, Any]:
    """Which split is for what."""
    meant = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
    held = [split for split in layout.SPLITS if facts.release["counts"].get(split)]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [_field("splits", "name", "sc:Text"), _field("splits", "url", "sc:URL")],
        "data": [{"splits/name": split, "splits/url": meant[split]} for split in held],
    }


def _categories(facts: CardFacts) -> dict[str, Any]:
    """The classes, in the order of their index."""
    rows = [
        {"categories/id": key, "categories/index": index, "categories/name": facts.names.get(key, key)}
        for index, key in enumerate(sorted(facts.release["counts"]["categories"]))
    ]
    kinds = (("id", "sc:Text"), ("index", "sc:Integer"), ("name", "sc:Text"))
    return {
        "@type": "cr:RecordSet",
        "@id": "categories",
        "name": "categories",
        "dataType": "sc:Enumeration",
        "key": {"@id": "categories/id"},
        "field": [_field("categories", name, kind) for name, kind in kinds],
        "data": rows,
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:DateTime" if pa.types.is_timestamp(kind) else "sc:Text"
