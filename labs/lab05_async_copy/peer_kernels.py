"""Lab 05 in Triton: the kernels. Imported by peer_triton.py once it is known that Triton is there.

A program is what CUDA calls a block. It takes pages, or groups of them, program, program + programs, ... of the stream:
which stay as long as the stream does, as the lab's blocks do. Where a page lies, and its scale, are asked for a turn
ahead, so that no page waits for a number first. `num_stages` of a loop makes the compiler ask for what the loop reads
so many turns less one ahead, into shared memory; with 1 it is read when it is needed.
"""
import triton
import triton.language as tl


@triton.jit
def read_loads(pool, table, q, scale, out, count, PAGES: tl.constexpr, ROWS: tl.constexpr, BLOCK_ROWS: tl.constexpr,
               DIM: tl.constexpr, STAGES: tl.constexpr):
    """PAGES pages a turn, by loads: cp.async where they are asked for ahead. BLOCK_ROWS is ROWS made up to a power of
    two. Behind the stream's end page 0 of the pool is read, and nothing written."""
    row, d = tl.arange(0, BLOCK_ROWS), tl.arange(0, DIM)
    inside = (row[:, None] * DIM + d[None, :])[None, :, :]
    factor = tl.load(q + d)[None, None, :]
    begin, stride = tl.program_id(0) * PAGES, tl.num_programs(0) * PAGES
    ahead = begin + tl.arange(0, PAGES)
    number = tl.load(table + ahead, mask=ahead < count, other=0)
    factor_of_page = tl.load(scale + ahead, mask=ahead < count, other=0)
    for first in tl.range(begin, count, stride, num_stages=STAGES):
        at = pool + number.to(tl.int64)[:, None, None] * (ROWS * DIM) + inside
        if ROWS == BLOCK_ROWS:
            keys = tl.load(at)
        else:
            keys = tl.load(at, mask=(row < ROWS)[None, :, None], other=0)
        score = tl.sum(tl.sum(keys.to(tl.float32) * factor, axis=1), axis=1) * factor_of_page
        page = first + tl.arange(0, PAGES)
        ahead = page + stride
        number = tl.load(table + ahead, mask=ahead < count, other=0)
        factor_of_page = tl.load(scale + ahead, mask=ahead < count, other=0)
        tl.store(out + page, score, mask=page < count)


@triton.jit
def read_boxes(boxes, table, q, scale, out, count, ROWS: tl.constexpr, DIM: tl.constexpr, STAGES: tl.constexpr):
    """A page a turn, by a tensor map of the pool as a matrix [P rows][D], whose boxes are pages: TMA."""
    factor = tl.load(q + tl.arange(0, DIM))[None, :]
    begin, programs = tl.program_id(0), tl.num_programs(0)
    number = tl.load(table + begin, mask=begin < count, other=0)
    factor_of_page = tl.load(scale + begin, mask=begin < count, other=0)
    for page in tl.range(begin, count, programs, num_stages=STAGES):
        keys = boxes.load([number * ROWS, 0])
        score = tl.sum(tl.sum(keys.to(tl.float32) * factor, axis=0), axis=0) * factor_of_page
        ahead = page + programs
        number = tl.load(table + ahead, mask=ahead < count, other=0)
        factor_of_page = tl.load(scale + ahead, mask=ahead < count, other=0)
        tl.store(out + page, score)
