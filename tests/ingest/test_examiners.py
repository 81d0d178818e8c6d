"""A decoder that crashes or hangs takes one picture with it, and nothing else."""

import asyncio
import os
import signal

import pytest

from ingest.decode import RejectedPicture
from ingest.examiners import DecoderDied, Examiners
from tests.ingest.local_web import jpeg


def test_pictures_are_examined_and_refused_with_their_reason() -> None:
    async def main() -> None:
        facts = await examiners.examine(jpeg(1))
        assert (facts.width, facts.height, facts.format, facts.bytes) == (64, 64, "jpeg", len(jpeg(1)))
        for data, reason in ((b"<html>", "not_an_image"), (jpeg(1)[:-200], "truncated"), (b"", "empty")):
            with pytest.raises(RejectedPicture) as error:
                await examiners.examine(data)
            assert error.value.reason == reason

    with Examiners(1) as examiners:
        asyncio.run(main())


@pytest.mark.parametrize(
    ("blow", "reason"), [(signal.SIGKILL, "decoder_crashed"), (signal.SIGSTOP, "decoder_hung")]
)
def test_a_dead_decoder_is_replaced(blow: int, reason: str) -> None:
    async def main() -> None:
        await examiners.examine(jpeg(1))
        (process,) = examiners._all
        assert process.process.pid is not None
        os.kill(process.process.pid, blow)
        with pytest.raises(DecoderDied) as error:
            await examiners.examine(jpeg(2))
        assert error.value.reason == reason
        examiners._seconds = 60.0
        assert (await examiners.examine(jpeg(2))).width == 64

    with Examiners(1, seconds=60.0) as examiners:
        asyncio.run(warm(examiners))
        examiners._seconds = 0.3
        asyncio.run(main())
    assert all(not process.process.is_alive() for process in examiners._all)


async def warm(examiners: Examiners) -> None:
    """Start-up takes longer than the short patience of the test."""
    await examiners.examine(jpeg(0))
