"""A shared release that stands in a bucket: the same pages, the same archive, on a real S3 server."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from export.models import Release
from export.services.publish import publish_release
from export.services.sharing import share_release
from tests.export.world import World, bytes_of

pytestmark = pytest.mark.django_db
HOME = "/releases/birds/1.0.0/"


def test_a_release_in_a_bucket_is_shared_like_any_other(world: World, s3, tmp_path, client, settings):
    release = publish_release(world.dataset, "1.0.0", "s3://shelves/data").release
    again = publish_release(world.dataset, "1.0.0", tmp_path / "out")
    assert Release.objects.get().location.startswith("s3://shelves/data/")
    share_release(release)
    assert "How to load it" in client.get(f"{HOME}card").content.decode()
    assert client.get(f"{HOME}figures/classes.svg").status_code == 200
    manifest = client.get("/api/v1/releases/birds/1.0.0/manifest")
    assert len([json.loads(line) for line in b"".join(manifest.streaming_content).splitlines()]) == 18
    shown = client.get(f"{HOME}download").content.decode()
    sha256 = re.search(r'name="terms" value="(\w{64})"', shown)[1]
    link = client.post(f"{HOME}download", {"terms": sha256, "accept": "on"})["Location"]
    whole = b"".join(client.get(f"{link}birds-1.0.0.tar").streaming_content)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        held = {m.name.removeprefix("birds-1.0.0/"): tar.extractfile(m).read() for m in tar}
    assert held == bytes_of(Path(str(again.folder)))
    rest = client.get(f"{link}birds-1.0.0.tar", headers={"Range": "bytes=9000-20000"})
    assert b"".join(rest.streaming_content) == whole[9000:20001]
    path = next(name for name in held if name.startswith("train/"))
    assert b"".join(client.get(f"{link}files/{path}").streaming_content) == held[path]
    s3.delete_object(Bucket="shelves", Key=f"data/birds-1.0.0/{path}")
    assert client.get(f"{link}files/{path}").status_code == 404
    with pytest.raises(Exception, match="gone from the release"):
        b"".join(client.get(f"{link}birds-1.0.0.tar").streaming_content)
    (next((settings.DATA_DIR / "archives").glob("*.tar-index"))).unlink()
    assert client.get(f"{link}birds-1.0.0.tar").status_code == 503
