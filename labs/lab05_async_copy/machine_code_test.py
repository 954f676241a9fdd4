#!/usr/bin/env python3
"""machine_code_test.py CUOBJDUMP PROGRAM: does each rung's kernel hold the instruction that the rung is about?

A rung whose copies the compiler, or a header, had replaced by plain loads and stores would give the right scores and
measure something else. Exit code 77 where there is no cuobjdump, or the program has no machine code for sm_90 and newer.
Source: CUDA Binary Utilities, "Instruction Set Reference" (Hopper)."""
import re
import subprocess
import sys

# By kernel: what must be there, and what must not.
LOADS = r"\bLDG\.\S*\.128\b"
POLLS = r"\bLDG?\.\S*\.128\.STRONG\b"  # relaxed, of an address whose space is not known
ASYNC = r"\bLDGSTS\.\S*\.128\b"
BULK = r"\bUBLKCP\b"
BOXES = r"\bUTMALDG\.2D\b"
KERNELS = {
    "read_words": ([r"\bLDG\."], [LOADS, ASYNC, BULK, BOXES]),
    "read_wide": ([LOADS], [ASYNC, BULK, BOXES]),
    "read_vector": ([LOADS], [ASYNC, BULK, BOXES]),
    "read_async": ([ASYNC], [BULK, BOXES]),
    "read_bulk": ([BULK], [ASYNC, BOXES]),
    "read_tensor": ([BOXES], [ASYNC, BULK]),
    "read_by_roles": ([BULK], [ASYNC, BOXES]),
    "chain_phase": ([LOADS], [ASYNC, BULK, BOXES]),
    "chain_by_barrier": ([LOADS], [ASYNC, BULK, BOXES]),
    "stream_chain": ([BULK, POLLS], [ASYNC, BOXES]),
    "lab05_prefill_all": ([LOADS], [ASYNC, BULK, BOXES]),
    "prefill_all_bulk": ([BULK], [ASYNC, BOXES]),
    "prefill_shaped": ([LOADS], [ASYNC, BULK, BOXES]),
    "prefill_native": ([BULK], [ASYNC, BOXES]),
}


def functions(listing):
    """(mangled name, text) of each function of the listing that is of sm_90 or newer."""
    arch, name, lines = 0, None, []
    for line in listing.splitlines():
        found = re.match(r"\s*(?:arch = |code for )sm_(\d+)", line)
        if found:
            arch = int(found.group(1))
        found = re.match(r"\s*Function : (\S+)", line)
        if found or line.startswith("Fatbin"):
            if name:
                yield name, "\n".join(lines)
            name, lines = (found.group(1) if found and arch >= 90 else None), []
        elif name:
            lines.append(line)
    if name:
        yield name, "\n".join(lines)


def main():
    tool, program = sys.argv[1:3]
    try:
        run = subprocess.run([tool, "-sass", program], capture_output=True, text=True, check=False)
    except OSError as error:
        print(f"SKIPPED: no cuobjdump: {error}")
        return 77
    if run.returncode != 0:
        sys.exit(f"{tool} -sass {program} ended with {run.returncode}: {run.stderr}")
    seen, wrong = {kernel: 0 for kernel in KERNELS}, 0
    for name, text in functions(run.stdout):
        for kernel, (needs, forbids) in KERNELS.items():
            if kernel not in name:
                continue
            seen[kernel] += 1
            for pattern in needs:
                if not re.search(pattern, text):
                    print(f"{name}: no instruction like {pattern}")
                    wrong += 1
            for pattern in forbids:
                if re.search(pattern, text):
                    print(f"{name}: has {pattern}, which another rung is about")
                    wrong += 1
    if not any(seen.values()):
        print("SKIPPED: no machine code for sm_90 or newer in the program")
        return 77
    for kernel, count in seen.items():
        print(f"{kernel}: {count} instances looked at")
        wrong += count == 0
    return wrong > 0


sys.exit(main())
