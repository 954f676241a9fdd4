#!/usr/bin/env python3
"""./lab grade on submissions, honest ones and others: submissions.py PK_LAB SOURCE BUILD CC

Their texts are lab 01's solution with other steps. What its text or its symbols give away is refused and not run: each
such cheat is here; those that get to run are in cheats.py. Exit 0 right, 1 wrong."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PK_LAB, SOURCE, BUILD, CC = sys.argv[1:5]
SOLUTION = pathlib.Path(SOURCE, "solutions/lab01_launches/optimized.cu").read_text()
SHIPPED = pathlib.Path(SOURCE, "labs/lab01_launches/optimized.cu").read_text()
SCHEMA = pathlib.Path(SOURCE, "harness/schema/grade.v1.json")
failures = 0


def fail(text):
    global failures
    failures += 1
    print(f"FAILED: {text}")


def body_of(text, step):
    return re.search(rf"(/[*] STEP lab01[.]{step}\b[^\n]*\n)(.*?)([ \t]*/[*] END lab01[.]{step}\b)", text, re.S)


def with_step(step, code, text=SOLUTION):
    found = body_of(text, step)
    return text[: found.start(2)] + code + "\n" + text[found.end(2) :]


def before_step(step, code, text=SOLUTION):
    """The solution's step, with `code` in front of it."""
    return with_step(step, code + "\n" + body_of(text, step).group(2), text)


def grade(folder, *options, folders, environment=None):
    """-> the exit code, what was printed, and the document or None."""
    path = folder / "grades.json"
    path.unlink(missing_ok=True)
    command = [PK_LAB, "grade", *map(str, folders), f"--json={path}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})})
    document = json.loads(path.read_text()) if path.exists() else None
    return done.returncode, done.stdout + done.stderr, document


def put(folder, name, text, path="optimized.cu"):
    file = folder / name / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return folder / name


def labs_of(document):
    return {s["name"]: s["labs"] for s in document["submissions"]}


def check(what, right, got):
    if not right:
        fail(f"{what}: {got}")


# ---- submissions that are graded ----


def test_graded(folder):
    """An honest one in each form, one that is not begun, one that is half right, one that does not compile."""
    log = "# Lab 01\n\n## 1 what I expected\nless\n\n## 2 and again\nmore\n"
    stream = "        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, lab->y);\n"
    stream += "        PK_CHECK(cudaStreamSynchronize(stream));"  # one step, and not K
    honest = before_step(1, "#pragma unroll 1", SOLUTION.replace("\nstatic", " \nstatic"))
    half = with_step(5, body_of(SHIPPED, 5).group(2), with_step(1, stream))
    folders = [
        put(folder, "fork", honest.replace("\n", "\r\n"), "labs/lab01_launches/optimized.cu"),
        put(folder, "shipped", SHIPPED),
        put(folder, "half", half, "lab01_launches/optimized.cu"),
        put(folder, "broken", with_step(1, "        launch it all;")),
    ]
    put(folder, "fork", log, "logs/lab01.md")
    code, output, document = grade(folder, "--seed=7", folders=folders)
    check("exit code", code == 0, (code, output))
    labs = labs_of(document)
    (fork,), (shipped,), (half,), (broken,) = (labs[name] for name in ("fork", "shipped", "half", "broken"))
    check("fork", (fork["score"], fork["log_entries"]) == (100, 2), fork)
    check("fork's repetitions", all(r["repetitions"] == 10 for r in fork["rungs"]), fork)
    check("shipped", shipped["score"] == 0 and all(s["open"] for s in shipped["steps"]), shipped)
    check("shipped's rungs", all(r["status"] == "todo" and "open: lab01." in r["reason"] for r in shipped["rungs"]), shipped)
    check("no log", shipped["log_entries"] is None, shipped)
    statuses = {r["variant"]: r["status"] for r in half["rungs"]}
    check("half", statuses == {"stream": "wrong", "pdl": "pass", "fused": "todo"}, half)
    check("half's score", round(half["score"]) == 33, half["score"])
    check("broken", broken["status"] == "no build" and re.search(r"lab01/optimized.cu:\d+.*error", broken["reason"]), broken)
    check("broken's score", broken["score"] == 0 and {r["status"] for r in broken["rungs"]} == {"not run"}, broken)
    for line in ("fork        01   5 of 5  3 of 3", "speed is", "--seed=7 gives them again", "half, lab 01, fused: todo: open"):
        check("the table", line in output, output)
    check("columns", all(len(line) <= 80 for line in output.splitlines() if " " in line.strip()), output)
    check_schema(document)


def check_schema(document):
    try:
        import jsonschema
    except ImportError:
        print("not compared with the schema: python3 has no jsonschema")
        return
    errors = list(jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(document))
    check("schema", not errors, [e.message for e in errors])


# ---- cheats that the text gives away ----

REFUSED = {
    "include": (before_step(1, "#include <time.h>"), "a preprocessor directive"),
    "other-pragma": (before_step(1, '#pragma GCC optimize "0"'), "a preprocessor directive"),
    "define": (before_step(1, "#define cudaStreamSynchronize(stream) cudaSuccess"), "a preprocessor directive"),
    "digraph": (before_step(1, "%:define lab nothing"), "a preprocessor directive"),
    "pragma": (before_step(1, '_Pragma("GCC optimize 0")'), "a pragma"),
    "assembler": (before_step(1, 'asm volatile("syscall");'), "assembler"),
    "attribute": (before_step(1, "__attribute__((cleanup(finish))) int done;"), "an attribute"),
    "new-attribute": (before_step(1, "[[gnu::used]] static int kept;"), "an attribute"),
    "extern": (before_step(1, 'extern "C" void pk_report_free(void *);'), "a declaration of something outside"),
    "clock-of-its-own": (
        before_step(1, "}\nextern double pk_now_us(void) { return 0; }\nstatic void rest(void) {"),
        "a bracket that closes none|a declaration of something outside",
    ),
    "out-of-function": (before_step(1, "}\nint clock_gettime(int, void *) { return 0; }\nvoid f() {"), "a bracket that closes none"),
    "open-bracket": (before_step(1, "if (0) {"), "a bracket that it does not close"),
    "chevrons": (with_step(5, "axpy_fused<<<1, 1, 0, stream>>>(1, 1, 1, 0, 0);"), "a launch past PK_LAUNCH"),
    "launch-kernel": (before_step(5, "cudaLaunchKernel(0, 1, 1, 0, 0, stream);"), "a launch past PK_LAUNCH"),
    "launch-graph": (before_step(5, "cudaGraphLaunch(0, stream);"), "a launch past PK_GRAPH_LAUNCH"),
    "backend-launch": (before_step(5, "PK_BACKEND_LAUNCH(axpy_fused, 1, 1, 0, stream, 1, 1, 1, 0, 0);"), "a launch past"),
    "cpu-launch": (before_step(5, "PK_CPU_LAUNCH(axpy_fused, 1, 1, 0, stream, 1, 1, 1, 0, 0);"), "the CPU device's own"),
    "counts-by-hand": (before_step(5, "pk_launch_counts_reset();"), "the harness's count of launches"),
    "watched": (before_step(1, "if (!pk_run_peeks(run)) return PK_OK;"), "whether anybody looks"),
    "lab-functions": (before_step(1, "return pk_this_lab.reset(run);"), "the lab's own functions"),
    "reference": (before_step(1, "(void)pk_run_reference(run);"), "what results are compared with"),
    "spliced": (before_step(1, "as\\\nm(\"nop\");"), "a backslash outside of literals"),
    "raw-string": (before_step(1, 'puts(R"(/* END lab01.1 */)");'), "a raw string|there is no such step|has no|in its place"),
    "endless-comment": (with_step(4, "/* nothing"), "a comment without an end|has no END|is not there"),
    "second-fence": (SOLUTION + "\n/* STEP lab01.9 for fused: mine */\nint f;\n/* END lab01.9 */\n", "no such step as lab01.9"),
    "no-fence": (SOLUTION.replace("/* END lab01.3 */", ""), "lab01.3 has no END|is not there"),
    "constructor-outside": (
        SOLUTION.replace("static pk_status fused(", "static struct s { s() { exit(0); } } before;\nstatic pk_status fused("),
        r":\d+: outside of the steps the file is not as shipped",
    ),
    "ladder-changed": (SOLUTION.replace('"fused", "the K', '"stream", "the K'), "outside of the steps"),
    "not-text": (SOLUTION + "\0\1", "is no text"),
}


def test_refused(folder):
    folders = [put(folder, name, text) for name, (text, _) in REFUSED.items()]
    link = folder / "link"
    link.mkdir()
    (link / "optimized.cu").symlink_to(pathlib.Path(SOURCE, "solutions/lab01_launches/optimized.cu"))
    code, output, document = grade(folder, folders=[*folders, link])
    check("exit code", code == 0, (code, output))
    wanted = {name: reason for name, (_, reason) in REFUSED.items()}
    wanted["link"] = "a link leads out of its folder"
    for name, labs in labs_of(document).items():
        lab = labs[0]
        right = lab["status"] == "refused" and lab["score"] == 0 and re.search(wanted[name], lab["reason"])
        check(name, right, lab["reason"] or lab["status"])
    check_schema(document)


# ---- cheats that the compiled file gives away ----

COMPILED = {
    "clock": ("int clock_gettime(int c, void *t) { return c + !t; }", "it defines 'clock_gettime'"),
    "harness": ("double pk_now_us(void) { return 0; }", "it defines 'pk_now_us'"),
    "weak": ("__attribute__((weak)) void *malloc(unsigned long n) { return (void *)n; }", "it defines 'malloc'"),
    "chosen": (
        "static void *f(void) { return 0; } static void *(*pick(void))(void) { return f; }\n"
        '__attribute__((ifunc("pick"))) void *memcpy(void);',
        "it defines 'memcpy'",
    ),
    "variable": ("int pk_variant_file_count = 0;", "it defines 'pk_variant_file_count'"),
    "constructor": ("void _exit(int); __attribute__((constructor)) static void f(void) { _exit(0); }", "runs before main"),
    "destructor": ("void _exit(int); __attribute__((destructor)) static void f(void) { _exit(0); }", "runs after main"),
    "exit": ("void exit(int); static void f(void) { exit(0); } void *p(void); void (*pk_q)(void);", "defines 'pk_q'|uses 'exit'"),
}
for function in ("exit", "fork", "getenv", "dlsym", "syscall", "write", "clock_gettime", "lab02_fill", "pk_launch_counts_reset"):
    COMPILED[f"uses-{function}"] = (
        f"void {function}(void); static void f(void) {{ {function}(); }}\nvoid *pk_ladder_variants(void) {{ f(); return 0; }}",
        f"it uses '{function}'",
    )


def fake_build(folder):
    """A build folder whose cmake has compiled what the test says, and lab 01's judge."""
    build = folder / "build"
    (build / "bin").mkdir(parents=True)
    (build / "grade").mkdir()
    (build / "bin/lab01_solution").symlink_to(pathlib.Path(BUILD, "bin/lab01_solution"))
    (build / "grade/lab01.trusted").write_text(pathlib.Path(BUILD, "grade/lab01.trusted").read_text())
    (build / "grade/lab01.objects").write_text(f"{build}/cheat.o\n")
    cmake = folder / "path/cmake"
    cmake.parent.mkdir()
    cmake.write_text(f"#!/bin/sh\ntouch '{build}/bin/lab01_graded'\n")
    cmake.chmod(0o755)
    return build, {"PK_LAB_BUILD": str(build), "PATH": f"{cmake.parent}:{os.environ['PATH']}"}


def test_compiled(folder):
    build, environment = fake_build(folder)
    honest = put(folder, "honest", SOLUTION)
    for name, (text, wanted) in COMPILED.items():
        (folder / "cheat.c").write_text(text + "\n")
        command = [CC, "-O0", "-w", "-fno-builtin", "-c", folder / "cheat.c", "-o", build / "cheat.o"]
        subprocess.run(command, check=True)
        code, output, document = grade(folder, folders=[honest], environment=environment)
        lab = labs_of(document)["honest"][0] if document else {"status": output, "reason": ""}
        check(name, code == 0 and lab["status"] == "refused" and re.search(wanted, lab["reason"]), (code, lab))


# ---- builds that take too much ----

# What a build does in the place of cmake, of whom the test can tell what it has started; what is said of it.
BUILDS = {
    "crowd": ("while :; do sleep 7531 & done", r"more than \d+ processes at once"),
    # Where neither a namespace nor root's right to a first turn is to be had, it may last as long as it may.
    "family": ("f() { sleep 7531 & f & f; }; f", r"more than \d+ processes at once|does not build within 3 s"),
    "daemons": ("while :; do setsid sleep 7531 & done", r"more than \d+ processes at once"),
    "forever": ("sleep 7531", "does not build within 3 s"),
    "says": ("exec yes", "says more than 4 MB"),
    "memory": ("python3 -c 'bytearray(5 << 30)' && exit; echo out of memory; exit 1", "takes more than 4096 MB of memory"),
    "left-behind": ("sleep 7531 & exit 1", "the log says why"),
}
# Steps whose types double in length until memory or time is over, or a compiler gives up.
STEPS = {
    "types": "auto f = [](auto self, auto a, auto n) {\n    if constexpr (sizeof n < 4000) {\n"
    "        struct more { char bytes[sizeof n + 8]; };\n        auto g = [a, n](auto x) { return x; };\n"
    "        self(self, [g, a](auto x) { return g(a); }, more{});\n        self(self, [a, g](auto x) { return g(a); }, more{});\n"
    "    }\n};\nf(f, 0, char());",
    "constants": "constexpr auto f = [](unsigned n) {\n    unsigned long sum = 0;\n"
    "    for (unsigned long i = 0; i < 1ul << 40; i++)\n        sum += i % (n + 1);\n    return sum;\n};\n"
    "static_assert(f(3) > 0);",
}


def sleepers():
    """Processes that a build has left, by what none but it starts."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] if path.read_bytes() == b"sleep\0" b"7531\0" else []
        except OSError:  # it has ended meanwhile
            pass
    return found


def test_builds(folder):
    build, environment = fake_build(folder)
    honest = put(folder, "honest", SOLUTION)
    for name, (script, wanted) in BUILDS.items():
        (folder / "path/cmake").write_text(f"#!/bin/bash\n{script}\n")
        code, output, document = grade(folder, "--time=3", folders=[honest], environment=environment)
        lab = labs_of(document)["honest"][0] if document else {"status": output, "reason": ""}
        check(name, code == 0 and lab["status"] == "no build" and re.search(wanted, lab["reason"]), (code, lab))
        check(f"{name} leaves nothing", not sleepers(), sleepers())
    logs = [log.stat().st_size for log in (build / "grade").rglob("*.log")]
    check("a log's length", logs and max(logs) <= 4 << 20, logs)
    folders = [put(folder, name, before_step(1, text)) for name, text in STEPS.items()]
    _, output, document = grade(folder, "--time=6", "--labs=01", folders=folders)
    for name, labs in labs_of(document).items():
        check(name, labs[0]["status"] == "no build", labs[0])
        print(f"{name}: {labs[0]['reason']}")


# ---- what the judge says becomes a score ----


def fake_judge(build, **rows):
    """In the place of lab 01's judge: says this of each rung. What it is asked to judge has the solution's own objects."""
    rungs = [
        {"variant": v, "status": "pass", "reason": None, "judge_failed": False, "sizes": 2, "repetitions": 10, **row}
        for v, row in rows.items()
    ]
    verdicts = {"device": "device", "backend": "b", "is_gpu": True, "not_confined": "network", "rungs": rungs}
    judge = build / "bin/lab01_solution"
    judge.unlink()
    listed = "".join(f"ladder\\t{v}\\ts\\n" for v in rows)
    judge.write_text(
        f"#!/bin/sh\n[ $1 = --list ] && printf '{listed}' && exit\n"
        f"for word; do case $word in --json=*) cat >${{word#--json=}} <<'END'\n{json.dumps(verdicts)}\nEND\nesac; done\n"
    )
    judge.chmod(0o755)
    (build / "grade/lab01.objects").write_text((build / "grade/lab01.trusted").read_text())


def test_scores(folder):
    """Half as fast has half the points; what may be as fast has all; what is wrong has none; what was skipped is not asked."""
    build, environment = fake_build(folder)
    honest = put(folder, "honest", SOLUTION)
    half = {"speed": 0.5, "speed_low": 0.4, "speed_high": 0.6}
    equal = {"speed": 0.97, "speed_low": 0.95, "speed_high": 1.01}
    fake_judge(build, stream=half, pdl=equal, fused={"status": "wrong", "reason": "because \033[2J"})
    code, output, document = grade(folder, folders=[honest], environment=environment)
    lab = labs_of(document)["honest"][0]
    check("points", [r["points"] for r in lab["rungs"]] == [0.5, 1, 0] and lab["score"] == 50, lab)
    check("row", "2 of 3  0.50 to 0.97" in output and "does not allow it: network" in " ".join(output.split()), output)
    check("a terminal's codes", "\033" not in output, output)
    check_schema(document)
    fake_judge(build, stream=half, pdl={"status": "skipped", "reason": "none here"}, fused=equal)
    _, output, document = grade(folder, folders=[honest], environment=environment)
    check("skipped", labs_of(document)["honest"][0]["score"] == 75 and "2 of 2" in output, output)
    fake_judge(build, stream={"status": "fault", "reason": "no memory", "judge_failed": True}, pdl=equal, fused=equal)
    code, output, document = grade(folder, folders=[honest], environment=environment)
    lab = labs_of(document)["honest"][0]
    right = code == 3 and lab["status"] == "not judged" and "no memory" in lab["reason"] and lab["score"] == 0
    check("the judge's own failure", right, (code, output))
    check_schema(document)


# ---- what cannot be graded ----


def test_usage(folder):
    honest = put(folder, "honest", SOLUTION)
    cases = [
        (["--seed=many"], [honest], "--seed"),
        (["--labs=99"], [honest], "unknown lab '99'"),
        (["--time=0"], [honest], "--time"),
        (["--sed=1"], [honest], "--seed"),
        ([], [], "grade needs submissions' folders"),
        ([], [folder / "nowhere"], "is no folder"),
        (["--json=/dev/null/g.json"], [honest], "/dev/null"),
    ]
    for options, folders, text in cases:
        done = subprocess.run([PK_LAB, "grade", *map(str, folders), *options], capture_output=True, text=True, check=False)
        check(options, done.returncode == 2 and text in " ".join(done.stderr.split()), (done.returncode, done.stderr))
    code, output, document = grade(folder, "--labs=1", folders=[folder])  # a folder in which nothing is
    check("nothing there", code == 0 and labs_of(document)[folder.name][0]["status"] == "not submitted", output)


def main():
    for test in (test_graded, test_refused, test_compiled, test_builds, test_scores, test_usage):
        with tempfile.TemporaryDirectory() as name:
            test(pathlib.Path(name))
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
