"""Compiles kernels for Hopper (sm_90a) where there is no GPU, and says what their code needs.

    python tests/moc_engine/ops/triton/compiling.py [--all] [NAME …]

prints a JSON line for each: registers, bytes spilled, shared memory, and how often wgmma and TMA are used.
Without `--all` only the configurations that the tests compile. It needs a Triton that is not interpreting.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from moc_engine.ops.triton import (
    key_gradients,
    masses,
    means,
    merging,
    packing,
    query_gradients,
    rotating,
    routed,
    routed_gradients,
    top_k,
)
from moc_engine.ops.triton.launches import HOPPER, Tile, launch, padded_head, precision

NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
INTS = "*i32"
FLOATS = "*fp32"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A kernel with its arguments: types by name ("i32" where none), compile-time constants, and a launch.

    `multiples` are integer arguments that are divisible by 16. `tested`: the tests compile it.
    """

    name: str
    kernel: Any
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    tile: Tile
    multiples: tuple[str, ...] = ()
    tested: bool = False


@dataclass(frozen=True, kw_only=True)
class Code:
    """What the code of a configuration needs: `spilled` bytes of stack, `shared` bytes a block."""

    name: str
    registers: int
    spilled: int
    shared: int
    wgmma: int
    tma: int


def compiled(configuration: Configuration) -> Code:
    """Compiles for sm_90a."""
    names = [parameter.name for parameter in configuration.kernel.params]
    constants = dict(configuration.constants)
    types = {n: "constexpr" if n in constants else configuration.types.get(n, "i32") for n in names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(names)
        if types[name].startswith("*") or name in configuration.multiples
    }
    source = ASTSource(configuration.kernel, signature=types, constexprs=constants, attrs=aligned)
    code = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=configuration.tile.options)
    ptx = code.asm["ptx"]
    registers, stack = _resources(code.asm["cubin"])
    return Code(
        name=configuration.name,
        registers=registers,
        spilled=stack,
        shared=code.metadata.shared,
        wgmma=ptx.count("wgmma.mma_async"),
        tma=ptx.count("cp.async.bulk.tensor"),
    )


def _resources(cubin: bytes) -> tuple[int, int]:
    """Registers a thread and bytes of stack, as the assembler wrote them into the code."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"REG:(\d+)", told), re.search(r"STACK:(\d+)", told)
    assert registers, told
    assert stack, told
    return int(registers[1]), int(stack[1])


def routed_pass() -> Iterator[Configuration]:
    for dtype in NAMES:
        for head in (32, 64, 96, 128, 256):
            for rotated in (True, False):
                tile = launch("routed" if rotated else "routed unrotated", head, dtype, HOPPER)
                for in_place in (False, True):
                    for tma in {tile.tma and padded_head(head) == head, False}:
                        yield _routed(dtype, head, tile, rotated=rotated, in_place=in_place, tma=tma)


TESTED = (
    "routed bf16 64 TMA in place",
    "routed bf16 128 TMA in place",
    "routed bf16 128",
    "routed bf16 256 TMA in place",
    "routed bf16 128 unrotated TMA in place",
)


def _routed(
    dtype: torch.dtype, head: int, tile: Tile, *, rotated: bool, in_place: bool, tma: bool
) -> Configuration:
    number, width = NAMES[dtype], padded_head(head)
    block = f"tensordesc<{number}[{tile.keys}, {width}]>"
    nothing = [*(() if tma else ("K_TMA", "V_TMA")), *(("COS", "SIN") if rotated else ())]
    words = (number, str(head), *("unrotated",) * (not rotated), *("TMA",) * tma, *("in place",) * in_place)
    name = " ".join(("routed", *words))
    return Configuration(
        name=name,
        kernel=routed.routed_kernel,
        types={
            **dict.fromkeys(("Q", "K", "V", "OUT"), f"*{number}"),
            **dict.fromkeys(("OFFSETS", "PAIRS", "EDGES", "ENDS"), INTS),
            **dict.fromkeys(("LSE", "SLOT_LSE", "COS", "SIN"), FLOATS),
            **dict.fromkeys(("K_TMA", "V_TMA"), block),
            "scale": "fp32",
        },
        constants={
            **dict.fromkeys(nothing),
            "IN_PLACE": in_place,
            "ROTATED": rotated,
            "TMA": tma,
            "HEAD": head,
            "WIDTH": width,
            "QUERIES": tile.rows,
            "KEYS": tile.keys,
            "PIECE": tile.piece_of(head),
            "PRECISION": precision(dtype),
        },
        tile=tile,
        multiples=("q_batch", "q_head", "q_token", "out_batch", "out_head", "out_token"),
        tested=name in TESTED,
    )


def span_masses() -> Iterator[Configuration]:
    """The kernel that tells the share of each of joined spans."""
    for dtype, number in NAMES.items():
        for head in (32, 64, 96, 128, 256):
            tile = launch("masses", head, dtype, HOPPER)
            yield Configuration(
                name=f"masses {number} {head}",
                kernel=masses.span_lse_kernel,
                types={"Q": f"*{number}", "K": f"*{number}", "LSE": FLOATS, "BOUNDS": INTS, "OUT": FLOATS}
                | {"scale": "fp32"},
                constants={
                    "HEAD": head,
                    "WIDTH": padded_head(head),
                    "QUERIES": tile.rows,
                    "KEYS": tile.keys,
                    "PIECE": tile.piece_of(head),
                    "PRECISION": precision(dtype),
                },
                tile=tile,
                multiples=("q_batch", "q_head", "q_token", "k_batch", "k_head", "k_token"),
                tested=head == 128 and number != "fp16",
            )


def around_it() -> Iterator[Configuration]:
    """The kernels before and after the routed pass."""
    out = ("out_batch", "out_head", "out_token")
    for head in (64, 128, 256):
        width = padded_head(head)
        tile = launch("merge", head, torch.bfloat16, HOPPER)
        sizes = {"HEAD": head, "WIDTH": width, "QUERIES": tile.rows}
        yield Configuration(
            name=f"merge slots {head}",
            kernel=merging.merge_slots_kernel,
            types={"OUT": "*bf16", "LSE": FLOATS, "PARTS": "*bf16", "SLOT_LSE": FLOATS},
            constants=sizes,
            tile=tile,
            multiples=out,
            tested=head == 128,
        )
        yield Configuration(
            name=f"merge pair {head}",
            kernel=merging.merge_pair_kernel,
            types={"OUT": "*bf16", "LSE": FLOATS, "PART": "*bf16", "PART_LSE": FLOATS},
            constants=sizes,
            tile=tile,
            multiples=(*out, "part_batch", "part_head", "part_token"),
            tested=head == 128,
        )
        turning = launch("rotate", head, torch.bfloat16, HOPPER)
        yield Configuration(
            name=f"rotate {head}",
            kernel=rotating.rotate_kernel,
            types={"X": "*bf16", "OUT": "*bf16", "COS": FLOATS, "SIN": FLOATS},
            constants={"HEAD": head, "WIDTH": width, "TOKENS": turning.rows},
            tile=turning,
            multiples=("x_tokens", "out_tokens"),
            tested=head == 128,
        )
    yield Configuration(
        name="tile ends",
        kernel=routed.tile_ends_kernel,
        types={"EDGES": INTS, "ENDS": INTS},
        constants={"PAIRS_A_TILE": 64, "BLOCK": 1024},
        tile=Tile(rows=1, keys=1),
        tested=True,
    )


def routed_gradients_pass() -> Iterator[Configuration]:
    """The backward pass through routed chunks."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        name = NAMES[dtype]
        tensors = ("Q", "GRAD", "K", "V", "OUT", "PARTS", "BASE", "DQ", "DK", "DV")
        types = {
            **dict.fromkeys(tensors, f"*{name}"),
            **dict.fromkeys(("OFFSETS", "PAIRS", "EDGES", "ENDS"), INTS),
            **dict.fromkeys(("INDICES", "ORDER"), "*i64"),
            **dict.fromkeys(("LSE", "DELTA"), FLOATS),
            "scale": "fp32",
        }
        for head in (32, 64, 96, 128, 256):
            sizes = {"HEAD": head, "WIDTH": padded_head(head)}
            for kernel, more in (
                ("dq", {"SLOTS": 5}),
                ("dkdv", {"SLOTS": 5, "SPLITS": 1, "ADD": False, "WANT_K": True, "WANT_V": True}),
                ("dkdv in shares", {"SLOTS": 5, "SPLITS": 4, "ADD": False, "WANT_K": True, "WANT_V": True}),
            ):
                tile = launch(kernel.split()[0], head, dtype, HOPPER)
                blocks = {"QUERIES": tile.rows, "KEYS": tile.keys, "PIECE": tile.piece_of(head)}
                yield Configuration(
                    name=f"{kernel} {name} {head}",
                    kernel=query_gradients.dq_kernel if kernel == "dq" else key_gradients.dkdv_kernel,
                    types=types,
                    constants={**more, **sizes, **blocks, "PRECISION": precision(dtype)},
                    tile=tile,
                    tested=head in (64, 128) and dtype == torch.bfloat16 and " " not in kernel,
                )
            tile = launch("delta", head, dtype, HOPPER)
            for kernel, code, more in (
                ("delta", routed_gradients.delta_kernel, {}),
                ("add parts", query_gradients.add_parts_kernel, {"SLOTS": 5}),
            ):
                yield Configuration(
                    name=f"{kernel} {name} {head}",
                    kernel=code,
                    types=types,
                    constants={**more, **sizes, "ROWS": tile.rows},
                    tile=tile,
                    tested=head == 128 and dtype == torch.bfloat16,
                )


def choosing() -> Iterator[Configuration]:
    """The kernels that choose chunks: means, the best of each query, packing."""
    for dtype, number in NAMES.items():
        parts, bits = top_k.PARTS[dtype]
        for head in (32, 64, 96, 128, 256):
            padded = padded_head(head)
            tile = launch("means", head, dtype, HOPPER)
            yield Configuration(
                name=f"means {number} {head}",
                kernel=means.mean_kernel,
                types={"K": f"*{number}", "OFFSETS": INTS, "MEANS": FLOATS},
                constants={"D": head, "PADDED": padded, "TOKENS": tile.keys},
                tile=tile,
                tested=head == 128 and number == "bf16",
            )
            tile = launch("top_k", head, dtype, HOPPER)
            for count, rules in ((5, False), (5, True), (32, True)):
                yield Configuration(
                    name=f"top-k {number} {head} {count}{' rules' * rules}",
                    kernel=top_k.best_kernel,
                    types={
                        **{"Q": f"*{number}", "MEANS": FLOATS, "CANDIDATES": "*u8", "BOOSTS": FLOATS},
                        **{"RULE": "*i64", "CHOSEN": "*i64"},
                    },
                    constants={
                        **({} if rules else {"BOOSTS": None, "RULE": None}),
                        "K": count,
                        "PADDED_K": triton.next_power_of_2(count),
                        "D": head,
                        "PADDED": padded,
                        "WIDTH": top_k.width_at_once(dtype, padded),
                        "PARTS": parts,
                        "SCALE": float(1 << bits),
                        "ROWS": tile.rows,
                        "CHUNKS": tile.keys,
                    },
                    tile=tile,
                    multiples=("q_batch", "q_head", "q_query"),
                    tested=head == 128 and number == "bf16",
                )
    for block in (packing.FEWEST_PAIRS, packing.MOST_PAIRS):
        sizes = {"K": 5, "SLOTS": 5, "PAIRS": block}
        yield Configuration(
            name=f"packing ranks {block}",
            kernel=packing.rank_kernel,
            types={"indices": "*i64", "counts": INTS, "ranks": "*i16"},
            constants={**sizes, "COMPARED": packing.COMPARISONS // block},
            tile=Tile(rows=1, keys=1, warps=8),
            tested=True,
        )
        yield Configuration(
            name=f"packing places {block}",
            kernel=packing.place_kernel,
            types={"indices": "*i64", "starts": INTS, "ranks": "*i16", "pairs": INTS, "edges": INTS},
            constants=sizes,
            tile=Tile(rows=1, keys=1),
            tested=True,
        )


def configurations() -> Iterator[Configuration]:
    yield from routed_pass()
    yield from span_masses()
    yield from around_it()
    yield from choosing()
    yield from routed_gradients_pass()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="only configurations whose names begin so")
    parser.add_argument("--all", action="store_true", help="those too that the tests leave out")
    arguments = parser.parse_args()
    for configuration in configurations():
        wanted = not arguments.names or configuration.name.startswith(tuple(arguments.names))
        if wanted and (arguments.all or configuration.tested):
            print(json.dumps(asdict(compiled(configuration))), flush=True)


if __name__ == "__main__":
    main()
