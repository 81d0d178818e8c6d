"""What is read off a gallery page."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.page import Page, read_page

URL = "http://h.example/g/?page=1"


def read(body: str, **more: str) -> Page:
    return read_page(body.encode(), URL, **more)


def urls(body: str) -> list[str]:
    return [found.url.removeprefix("http://h.example") for found in read(body).found]


def test_a_thumbnail_stands_back_behind_the_picture_it_links_to() -> None:
    assert urls('<a href="/big.jpg?v=1"><img src="/thumb.jpg"></a>') == ["/big.jpg?v=1"]
    assert urls('<a href="/about/big"><img src="/thumb.jpg"></a>') == ["/thumb.jpg"]
    assert urls('<a href="/big.PNG">a link alone</a>') == ["/big.PNG"]


def test_the_largest_of_a_srcset_is_taken() -> None:
    assert urls('<img src="a.jpg" srcset="b.jpg 100w, c,c.jpg 900w, d.jpg 300w">') == ["/g/c,c.jpg"]
    assert urls('<picture><source srcset="x.webp 1x, y.webp 2x"><img src="a.jpg"></picture>') == ["/g/y.webp"]
    assert urls('<img src="data:image/gif;base64,R0" data-src="lazy.jpg">') == ["/g/lazy.jpg"]


def test_og_image_base_and_repeats() -> None:
    assert urls('<head><meta property="og:image" content="/og.jpg"></head><img src="/og.jpg">') == ["/og.jpg"]
    assert urls('<base href="/other/"><img src="a.jpg">') == ["/other/a.jpg"]
    assert urls('<img src="javascript:alert(1)"><img src=""><img><img src="file:///x.jpg">') == []


def test_what_stands_beside_a_single_picture_is_about_that_picture() -> None:
    page = read(
        '<head><link rel="license" href="/page-licence"><meta name="author" content="Page Person"></head>'
        '<figure><img src="1.jpg" alt="One"><figcaption>by <b class="author big">Ann</b> '
        '<a rel="license noopener" href="/by">CC BY</a></figcaption></figure>'
        '<figure data-x><img src="2.jpg"><figcaption>Two</figcaption></figure>'
        '<div><span data-author="Cem"></span><img src="3.jpg"></div>'
    )
    said = {f.url.rsplit("/", 1)[1]: (f.licence, f.author, f.caption) for f in page.found}
    assert said["1.jpg"] == ("http://h.example/by", "Ann", "One")
    assert said["2.jpg"] == ("http://h.example/page-licence", "Page Person", "Two")
    assert said["3.jpg"] == ("http://h.example/page-licence", "Cem", "")
    assert {f.page_url for f in page.found} == {URL}


def test_a_licence_of_one_picture_is_not_the_pages() -> None:
    page = read(
        '<figure><img src="1.jpg"><a rel="license" href="/by">x</a></figure>'
        '<figure><img src="2.jpg"></figure>'
    )
    assert [f.licence for f in page.found] == ["http://h.example/by", ""]


def test_schema_org_is_read() -> None:
    page = read(
        '<script type="application/ld+json">{"@graph": [{"@type": ["ImageObject"], "contentUrl": "/1.jpg",'
        '"license": {"@id": "http://l.example/"}, "creator": [{"name": "Z"}], "caption": "C"}]}</script>'
        '<script type="application/ld+json">{broken</script><img src="/1.jpg">'
    )
    (found,) = page.found
    assert (found.licence, found.author, found.caption) == ("http://l.example/", "Z", "C")


def test_the_next_page_is_the_one_that_says_so() -> None:
    assert read('<a href="?page=9">9</a><a rel="nofollow next" href="?page=2">x</a>').next_url == (
        "http://h.example/g/?page=2"
    )
    assert read('<a rel="next" href="?page=1">x</a>').next_url == ""
    assert read('<a rel="next" href="mailto:x">x</a>').next_url == ""
    assert read("<p>no more</p>").next_url == ""


def test_a_page_that_does_not_want_to_be_learnt_from_is_left_alone() -> None:
    page = read('<meta name="Robots" content="index, noimageai"><img src="1.jpg">')
    assert page.noai
    assert not page.found
    assert not read('<meta name="robots" content="noindex"><img src="1.jpg">').noai


def test_charsets_and_nothing_at_all() -> None:
    body = '<img src="1.jpg" alt="Käfer">'.encode("latin-1")
    assert read_page(body, URL, "latin-1").found[0].caption == "Käfer"
    assert read_page(b'<img src="1.jpg">', URL, "no-such-charset").found
    assert read_page(b"", URL) == Page()


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    read_page(b"<img src=" + body, URL)
    read_page(body, URL)
