#!/usr/bin/env bash
# Whole reports: one HTML page that needs nothing else, Markdown with its figures, and what evidence.txt says of results.
# shellcheck disable=SC2016 # backticks are Markdown's
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
gpu=$repository/harness/tests/data/example-gpu.json
cpu=$repository/harness/tests/data/example-cpu.json
out=$fixture/out
# One figure is enough: plot.sh has them all.
rm "$PK_LAB_SOURCE/plots"
mkdir "$PK_LAB_SOURCE/plots"
ln -s "$repository"/plots/{theme,speedup,lab01-speedup,timeline,lab01-timeline}.gp "$PK_LAB_SOURCE/plots"

# html_check CODE: Python that knows the page as `page`, its visible text as `text`, `tags` as (name, attributes) in their
# order; it says what is wrong by assert.
html_check() {
    python3 - "$out/report.html" "$1" <<'CODE' || fail "the page: $1"
import html.parser, sys
page = open(sys.argv[1], encoding="utf-8").read()
tags, words, open_tags = [], [], []
class Parser(html.parser.HTMLParser):
    def handle_starttag(self, name, attributes):
        tags.append((name, dict(attributes)))
        if name not in ("meta", "img", "br"):
            open_tags.append(name)
    def handle_endtag(self, name):
        assert open_tags.pop() == name, f"</{name}> ends another"
    def handle_data(self, data):
        if open_tags[-1:] != ["style"]:
            words.append(data)
Parser().feed(page)
assert not open_tags, open_tags
text = " ".join(" ".join(words).split())
exec(sys.argv[2])
CODE
}

mkdir -p "$fixture/results" "$PK_LAB_SOURCE/logs"
cp "$gpu" "$fixture/results/lab01.json"
sed -e 's/"variant": "/&other-/' -e 's/lab01_solution/peer_other.py/' "$gpu" >"$fixture/results/lab01-other.json"
printf '# Work log\n\n## 2026-03-01T000000Z\n\n- Measured: nothing yet\n- Hypothesis: one <b>sync</b> a token\n' \
    >"$PK_LAB_SOURCE/logs/lab01.md"
run report "$fixture/results" "--out=$out"
expect 0 "wrote $out/report.md" "wrote $out/report.html"
expect_width
html_check 'assert text.count("Work log") == 2 and "one <b>sync</b> a token" in text, text'
html_check 'assert "./lab report '"$fixture/results --out=$out"'" in text'
html_check 'assert "NVIDIA H200" in text and "CPU device" not in text'
html_check 'for part in ("Summary", "How it was measured", "What was verified", "B_read, GB/s", "driver", "other-stream"): assert part in text, part'
# Nothing is fetched and nothing can be: no script, no address but that of data in the page.
html_check 'assert not {"script", "link", "iframe", "object"} & {name for name, _ in tags}'
html_check 'assert all(value[:1] == "#" or value[:11] == "data:image/" for _, a in tags for name, value in a.items() if name in ("src", "href"))'
html_check 'assert "url(" not in page and "@import" not in page and "default-src '"'none'"'" in page'
html_check 'ids = [a["id"] for _, a in tags if "id" in a]; assert len(ids) == len(set(ids)) and {a["href"][1:] for name, a in tags if name == "a"} <= set(ids)'
output=$(<"$out/report.md")
expect 0 '# Persistent kernels and execution graphs' '| stream | pass |' '## Work log' 'one \<b\>sync\</b\> a token' '`bin/peer_other.py ' 'lab01_solution'
[[ $(head -n 1 "$out/report.md") == '# '* ]] || fail 'no title'
if command -v gnuplot >/dev/null; then
    html_check 'import base64; pictures = [a for name, a in tags if name == "img"]; assert len(pictures) == 1 and "as fast as" in pictures[0]["alt"] and b"</svg>" in base64.b64decode(pictures[0]["src"].split(",")[1])'
    html_check 'assert "Not drawn: lab01-timeline: needs a timeline" in text'
    output=$(grep '^!\[' "$out/report.md")
    expect 0 'as fast as' '](lab01-speedup.svg)'
    grep -q '</svg>' "$out/lab01-speedup.svg" || fail 'no figure beside the Markdown'
fi
run report "$gpu" "--out=$fixture/only" --format=html
expect 0
[[ $(ls "$fixture/only") == report.html ]] || fail 'more than was asked for'
PATH=$fixture run report "$gpu" "--out=$out"
expect 0
html_check 'assert "figures need gnuplot" in text'
run report "$cpu" "--out=$out" --all
expect 0
html_check 'assert text.count("CPU device, not a GPU.") == 2 and "times say nothing about a GPU" in text'
html_check 'assert "details" in {name for name, _ in tags} and "programmatic dependent launch" in text'

# Which were chosen without words stands in the page.
place=$PK_LAB_SOURCE/results/2026-01-01T000000Z-d
mkdir -p "$place"
cp "$gpu" "$place/lab01.json"
run report "--out=$out"
expect 0 'lab01: results/2026-01-01T000000Z-d/lab01.json, a run of'
html_check 'assert "which chose # results/2026-01-01T000000Z-d/lab01.json" in text'

# A calibration beside the results is in it, and what the lab's model makes of it.
echo 'stream: k * launch' >"$PK_LAB_SOURCE/labs/lab01_first/predict.txt"
cat >"$fixture/results/calibration.json" <<'JSON'
{"schema": "pk-calibration", "version": 1, "note": null,
 "run": {"program": "p", "started_utc": "2026-01-01T00:00:00Z", "quick": false},
 "device": {"backend": "cuda", "kind": "gpu", "name": "NVIDIA H200", "arch": "sm_90", "processors": 132},
 "figures": [{"name": "launch_us", "unit": "us", "what": "issue of <a> launch", "status": "pass", "reason": null,
              "median": 3.25, "p10": 3, "p90": 4, "count": 20}]}
JSON
run report "$fixture/results" "--out=$out" --format=html
html_check 'assert "What the machine can do" in text and "issue of <a> launch 3.25 us 3 4" in text, text'
html_check 'assert "lab01 stream 9.233 3.25 -65%" in text and "Median error: 65% over 1 rungs." in text, text'

# The tables alone, and behind them the work log.
run report "$gpu"
expect 0 '| stream | pass |' '## Work log' '| | measured | hypothesis |' '| 1 | nothing yet | one \<b\>sync\</b\> a token |'
mv "$PK_LAB_SOURCE/logs" "$fixture/logs"
run report "$gpu"
expect_no 'Work log'

# ---- evidence ----
evidence() { # evidence LINE...
    printf '%s\n' "$@" >"$fixture/results/evidence.txt"
    run report "$fixture/results"
}
evidence '# said' '' 'withdrawn lab01 variant=fused k=1: of <another> clock' 'withdrawn lab02 n=1: not this lab' \
    'elsewhere lab01: the next room' 'published lab01 engine us/token=7.5: a page, 2026'
expect 0 '| fused | withdrawn | - | - |' '`fused` withdrawn: of \<another\> clock' 'measured elsewhere: the next room' \
    '| stream | pass |' 'engine, 7.5 us/token: published, not measured here: a page, 2026'
run report "$fixture/results" --all
expect 0 '| fused | 1024 | 1 | 8 | withdrawn | - |'
[[ $(grep -c '| withdrawn |' <<<"$output") == 1 && $output == *'| fused | 1024 | 10 | 8 | pass | '[0-9]* ]] || fail 'another point is taken back'
run report "$fixture/results" "--out=$out" --format=html
html_check 'assert "Withdrawn of <another> clock fused at the default point" in text, text'
html_check 'assert "engine not run 7.5" in text and "measured elsewhere" in text'
run compare "$fixture/results/lab01.json" "$gpu"
expect 0
grep -qE '^fused +1 +withdrawn ' <<<"$output" || fail 'what is withdrawn is compared'
evidence 'withdrawn lab01: all of it'
expect_no '| pass |'
evidence 'withdrawn lab01 varaint=fused: a slip'
expect_error 'evidence.txt, line 1' "'varaint=fused' is neither" 'docs/measuring.md#evidence'
evidence 'withdraw lab01: what' && expect_error 'line 1' 'begins with none of'
evidence '#' 'withdrawn lab01 variant=fused no colon' && expect_error 'line 2' 'no colon'
evidence 'published lab01 engine us/token=fast: a page' && expect_error 'us/token=NUMBER'
evidence 'elsewhere lab01:' && expect_error 'line 1'
rm "$fixture/results/evidence.txt"

# Where it was measured, by host and system; the machine of this test is not the example's.
run report "$gpu"
expect 0 'measured elsewhere: a machine with NVIDIA H200'
python3 - "$gpu" "$fixture/here.json" "$pk_lab" <<'CODE'
import json, platform, re, sys
result = json.load(open(sys.argv[1]))
cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if re.match(r"model name\s*:", line)]
os = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
result["environment"].update(cpu=cpu[0] if cpu else platform.machine(), os=os["PRETTY_NAME"].strip('"'))
json.dump(result, open(sys.argv[2], "w"))
CODE
if grep -q '^model name' /proc/cpuinfo; then
    run report "$fixture/here.json"
    expect 0 'measured here'
fi

# ---- what is refused ----
run report "$gpu" --format=html
expect_error '--out=FOLDER'
run report "$gpu" "--out=$out" --format=htlm
expect_error "'htlm' is neither html nor md; did you mean 'html'?"
touch "$fixture/file"
run report "$gpu" "--out=$fixture/file/below"
expect_error "$fixture/file"

# What a file says is data, in the page too.
python3 - "$gpu" "$fixture/hostile.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
text = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'`|&amp;\x1b]0;b\x07"
result["lab"]["title"] = result["device"]["name"] = result["device"]["arch"] = result["note"] = text
result["run"].update(program=text, argv=[text], started_utc=text, seed=text)
result["run"]["git"] = {"commit": text, "dirty": True}
for name in ("os", "cpu", "driver", "toolkit", "compiler", "device_compiler", "flags"):
    result["environment"][name] = text
result["figures"] = [{"name": text, "unit": text, "value": 1}]
result["targets"] = [{"name": text, "kind": text, "wanted": 1, "measured": 2, "judged": True, "passed": True, "stated_for": text}]
for point in result["results"]:
    if point["variant"] == "fused":
        point.update(status="wrong", reason=text)
json.dump(result, open(sys.argv[2], "w"))
CODE
run report "$fixture/hostile.json" "--out=$out" --all
expect 0
html_check 'assert not [t for t in tags if t[0] == "script" or "onerror" in t[1]] and len([t for t in tags if t[0] == "style"]) == 1'
html_check 'assert "\x1b" not in page and "<script>alert(1)</script>" in text'
python3 - "$out/report.md" <<'CODE' || fail 'markup in the Markdown'
import re, sys
prose = re.sub(r"(?s)(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", open(sys.argv[1]).read())
sys.exit("script" not in prose or re.search(r"(?<!\\)<", prose) is not None)
CODE
finish
