"""croissant.json: the release described for machines (MLCommons Croissant 1.0, https://mlcommons.org/croissant/1.0)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from export import layout

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


def croissant(
    *, name: str, version: str, title: str, description: str, licence: str, checksums: dict[str, str]
) -> dict[str, Any]:
    """The document as a dict.

    Args:
        licence: what the dataset says of its licence; pictures have their own in the manifest.
        checksums: SHA-256 of each of the release's tables, by file name.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description or f"Image classification dataset {title or name}, version {version}.",
        "version": version,
        "license": licence or "unknown",
        "citeAs": f"{title or name}, version {version}",
        "distribution": [_table_file(table, checksums[table]) for table in layout.TABLES]
        + [_picture_files()],
        "recordSet": [_record_set(table) for table in layout.TABLES],
    }


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
    name, description, schema = _RECORDS[table]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": column.name,
                "dataType": _data_type(column.type),
                "source": {"fileObject": {"@id": table}, "extract": {"column": column.name}},
            }
            for column in schema
        ],
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:DateTime" if pa.types.is_timestamp(kind) else "sc:Text"
