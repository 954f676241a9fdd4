#!/usr/bin/env bash
# Dev containers, the notebook and the page about both: they are what their readers take, and what they call is there.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

output=$(python3 - "$repository" <<'CODE'
import ast, json, pathlib, re, sys
repository = pathlib.Path(sys.argv[1])
help_of = {path.stem: path.read_text() for path in (repository / "harness/cli/help").glob("*.txt")}
calls = 0

def check_commands(where, text):
    """Each ./lab of a text: a command that is there, with options that its help has."""
    global calls
    for line in re.findall(r"(?:^|[\s`'\"])\./lab((?: [^\s`'\"&|;]+)*)", text):
        words = line.split()
        options = [word for word in words if word.startswith("--")]
        command = next((word for word in words if not word.startswith("--")), "lab")
        calls += 1
        if command not in help_of:
            print(f"{where}: there is no ./lab {command}")
            continue
        for option in options:
            name = option.split("=")[0]
            if not re.search(rf"{name}\b", help_of[command] + help_of["lab"]):
                print(f"{where}: ./lab {command} has no {name}")

# containers.dev: what a file may have, and of which type.
kinds = {
    "name": str, "image": str, "onCreateCommand": str, "runArgs": list, "containerEnv": dict, "hostRequirements": dict,
    "customizations": dict,
}
containers = sorted((repository / ".devcontainer").rglob("devcontainer.json"))
for path in containers:
    container, where = json.loads(path.read_text()), path.relative_to(repository)
    for key, value in container.items():
        if not isinstance(value, kinds.get(key, ())):
            print(f"{where}: '{key}' is none of {', '.join(kinds)}, or not of its type")
    for key in ("name", "image", "onCreateCommand"):
        if key not in container:
            print(f"{where}: no {key}")
    check_commands(where, container.get("onCreateCommand", ""))
if len(containers) != 2:
    print(f"{len(containers)} dev containers, and the page says two")

# Notebook format 4.
path = repository / "docs/colab/labs.ipynb"
book = json.loads(path.read_text())
if (book.get("nbformat"), sorted(book)) != (4, ["cells", "metadata", "nbformat", "nbformat_minor"]):
    print(f"{path.name}: no notebook of format 4")
for number, cell in enumerate(book["cells"]):
    keys = {"cell_type", "metadata", "source"} | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
    source = "".join(cell["source"])
    if set(cell) != keys or cell["cell_type"] not in ("code", "markdown"):
        print(f"{path.name}, cell {number}: it has {', '.join(cell)}")
    if cell["cell_type"] != "code":
        continue
    if cell["outputs"] or cell["execution_count"] is not None:
        print(f"{path.name}, cell {number}: it was stored with what it printed")
    check_commands(f"{path.name}, cell {number}", re.sub(r"(?m)^!", "", source))
    try:
        ast.parse(re.sub(r"(?m)^!.*$", "pass", source))
    except SyntaxError as error:
        print(f"{path.name}, cell {number}: {error}")
try:
    import nbformat
    nbformat.validate(nbformat.read(path, as_version=4))
except ImportError:
    pass

check_commands("docs/editors.md", (repository / "docs/editors.md").read_text())
if calls < 10:
    print(f"only {calls} calls of ./lab")
CODE
)
[[ -z $output ]] || fail 'a workplace is not as its readers need it'
finish
