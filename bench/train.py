r"""Time a training step in turn with another project; writes `bench/train.md`.

The same made-up weights, pictures and objects on both sides, each in an interpreter of its own. What learns is the same
too: the published models of torchvision keep the first two parts of their backbone as they are when they are tuned,
which is `3+` here.

    python bench/train.py --peer torchvision --peer-python PATH
    python bench/train.py --peer torchvision --peer-python PATH --device cuda --precision bf16 --batch 16 \
        --size 800x1333
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from machine import describe, show, table
from peers.given import objects, write_weights
from peers.side import (
    PRODUCTS,
    Contestant,
    Heat,
    Job,
    Side,
    SideError,
    add_options,
    heads,
    peers_of,
    size_of,
)

WAYS: dict[str, dict[str, Any]] = {"eager": {}, "compiled": {"compile": True}, "checkpointing": {"checkpointing": True}}
LOSSES = ("objectness", "proposal box", "class", "box", "mask")


class Course(NamedTuple):
    """What a run is about.

    Attributes:
        parsed: The command's options.
        peers: Interpreters by name.
        limit: A product of two matrices.
        given: Pictures (B, H, W, 3), outlines (B, N, V, 2), labels (B, N).
        common: What everybody is told.
    """

    parsed: argparse.Namespace
    peers: Mapping[str, str]
    limit: Job
    given: Mapping[str, NDArray[Any]]
    common: Mapping[str, Any]


@contextmanager
def contestants(course: Course) -> Iterator[list[Contestant]]:
    """Start everybody's interpreter; on an accelerator the peer is there in fp32 too, as it is used."""
    precision = course.parsed.precision
    precisions = dict.fromkeys(("fp32", precision))
    sides = [(name, python, each) for name, python in course.peers.items() for each in precisions]
    with ExitStack() as stack:
        found = []
        for name, python, each in sides:
            side = stack.enter_context(Side(name, python, course.parsed.threads))
            found.append(Contestant(f"{name} {each}", side, {"precision": each}))
        for way in course.parsed.ways:
            side = stack.enter_context(Side("ours", threads=course.parsed.threads))
            found.append(Contestant(f"ours {precision} {way}", side, {"precision": precision, **WAYS[way]}))
        yield found


def make(who: Contestant, course: Course, **rest: Any) -> Job:
    """Let somebody prepare a step."""
    return who.side.make("step", course.given, **({"task": "step"} | course.common | who.options | rest))


class Measured(NamedTuple):
    """A step in which some layers learn: rows of times and of losses, and who took part."""

    rows: list[list[str]]
    losses: list[list[str]]
    names: list[str]
    versions: str
    most: float


def measure(layers: str, course: Course) -> Measured:
    """Measure a step in which some layers learn, in fresh interpreters."""
    flops = plain_flops(layers, course)
    with contestants(course) as who:
        jobs = {each.name: make(each, course, layers=layers) for each in who}
        losses = [[layers, name, *(f"{loss:.4f}" for loss in job.arrays()["losses"])] for name, job in jobs.items()]
        heat = Heat.of(jobs, course.limit, course.parsed.repetitions)
        references = [each.name for each in who if each.side.name != "ours"]
        rows = [[layers, name, f"{flops / 1e9:.0f}", *heat.cells(name, flops, references)] for name in jobs]
        versions = "; ".join({f"{each.side.name}: {each.side.versions()}": None for each in who})
        return Measured(show(rows), show(losses), references, versions, heat.most)


def plain_flops(layers: str, course: Course) -> int:
    """Count the step of the plain fp32 network, on one picture, for all of them."""
    first = course._replace(given={name: array[:1] for name, array in course.given.items()})
    with Side("ours", threads=course.parsed.threads) as side:
        plain = Contestant("plain", side, {"device": "cpu", "precision": "fp32"})
        return make(plain, first, task="plain", layers=layers).flops() * course.parsed.batch


def unwaited(ours: Contestant, course: Course) -> str:
    """Say whether our forward and backward pass wait for the accelerator."""
    try:
        make(ours, course, task="unwaited", layers="3+").run()
    except SideError as error:
        return f"\nForward and backward pass wait for the device: {error}\n"
    return '\nForward and backward pass never wait for the device (`torch.cuda.set_sync_debug_mode("error")`).\n'


def profile(ours: Contestant, course: Course) -> str:
    """Write which operators of our step take longest."""
    job = make(ours, course, layers="3+")
    job.run()
    return f"\n## Where the time goes\n\n{table(['operator', 'share', 'calls'], job.profile())}"


NOTES = """\
Sides: {sides}. Each in an interpreter of its own with {threads} threads, in turn, once to warm up and
{repetitions} times; medians. R50-FPN with made-up weights and frozen norms, {batch} pictures of {size} with {objects}
objects each, SGD with momentum. A step goes from what a loader gives, in the main memory, to weights that have moved;
a loader gives us a batch, and torchvision tensors with dense masks. `3+` learns all but the first two parts of the
backbone, `all` everything but norms.

GFLOP are those of the plain fp32 network with direct convolutions, forward and backward, by
`torch.utils.flop_counter`, the same number for everybody. The limit is the product of two square matrices of side
{side}, in turn with the others: {most:.0f} GFLOP/s. Added is the highest memory less what the interpreter held after
its imports.
"""
LOSSES_NOTES = """\
The first step of each, before weights move. Both draw their samples at random, and not the same ones.
"""


def page(course: Course) -> str:
    """Run everything and write it down."""
    parsed, threads = course.parsed, course.limit.side.threads
    found = [measure(layers, course) for layers in parsed.layers]
    notes = NOTES.format(
        sides=found[0].versions,
        most=found[-1].most / 1e9,
        side=PRODUCTS[parsed.device]["side"],
        **(vars(parsed) | {"threads": threads}),
    )
    text = f"# A training step\n\n{describe(threads)}\n\n{notes}\n"
    text += table(["layers", "who", "GFLOP", *heads(found[0].names)], [row for each in found for row in each.rows])
    text += f"\n## Losses\n\n{LOSSES_NOTES}\n"
    text += table(["layers", "who", *LOSSES], [row for each in found for row in each.losses])
    with Side("ours", threads=parsed.threads) as side:
        ours = Contestant("ours", side, {"precision": parsed.precision})
        text += unwaited(ours, course) if parsed.device == "cuda" else ""
        text += profile(ours, course) if parsed.profile else ""
    return text


def main() -> None:
    """Measure both and write the table."""
    parser = argparse.ArgumentParser(description="Time a training step, in turn with another project.")
    add_options(parser)
    parser.add_argument("--size", default="512x512", help="height x width of the pictures, which the network sees so")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--objects", type=int, default=5)
    parser.add_argument("--layers", nargs="+", choices=("3+", "all"), default=["3+", "all"])
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["eager"], help="of ours")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="add the operators that take longest")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parsed = parser.parse_args()
    peers = peers_of(parser, parsed)
    size_hw = size_of(parsed.size)
    with ExitStack() as stack:
        weights = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "weights.pth"
        write_weights(weights)
        limit = stack.enter_context(Side("limit", threads=parsed.threads)).make("product", **PRODUCTS[parsed.device])
        common = {"weights": str(weights), "size_hw": size_hw, "device": parsed.device}
        given = objects(parsed.batch, parsed.objects, size_hw)
        parsed.out.write_text(page(Course(parsed, peers, limit, given, common)), encoding="utf-8")


if __name__ == "__main__":
    main()
