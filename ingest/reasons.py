"""Every reason that a candidate can end for, in words for people."""

from __future__ import annotations

from ingest import decode

FETCHING: dict[str, str] = {
    "robots": "the site's robots.txt forbids it",
    "address": "its host stands inside a private network",
    "noai": "the site asks not to be used for machine learning",
    "scheme": "only http and https are asked",
    "bad_url": "the address makes no sense",
    "too_large": "more bytes than are read",
    "too_many_redirects": "it sends from one address to the next without end",
    "timeout": "no whole answer in time",
    "cut_off": "the answer broke off each time",
    "bad_answer": "the server speaks no proper HTTP",
    "unreachable": "the host could not be reached",
    "decoder_crashed": "the decoder crashed on it",
    "decoder_hung": "the decoder did not come to an end",
    "unsafe_name": "its name would lead out of the archive",
    "not_a_file": "a link or a device inside the archive",
    "no_such_file": "the file is not there any more",
    "unreadable": "the file cannot be read",
    "taken_down": "it was taken down, and is never to come back",
    "fault": "an unforeseen error in Assay",
    "same_bytes": "the same bytes were found before",
    "same_url": "the same URL was found before",
}


def meaning(reason: str) -> str:
    """A reason in words; `http_404` and its like explain themselves."""
    if reason.startswith("http_"):
        return f"the server answered {reason.removeprefix('http_')}"
    return FETCHING.get(reason) or decode.REASONS.get(reason, reason)
