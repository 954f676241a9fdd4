#!/usr/bin/env bash
# interrupt_hang.sh PROGRAM ARGUMENT...: Ctrl-C, twice, while a kernel hangs. It ends at once, and says what was being done:
# not for how long there was no progress, which is the watchdog's reason and not this one. The sign to send it is the line
# that says that nothing goes on.
set -uo pipefail
# shellcheck source=until_sign.sh
source "$(dirname "$0")/until_sign.sh"

until_sign '^no progress for' "$@"
kill -INT "$program" 2>/dev/null
# Two that are nearer than half a second are one: the terminal sends it, and what started the program passes it on. On a busy
# machine the program may see two together, so they go on until it ends.
while sleep 0.7 && kill -INT "$program" 2>/dev/null; do :; done
wait "$program"
code=$?
said=$(tr -s ' \n' ' ' <"$folder/err")
echo "$said"
if ((code == 77)); then
    exit 77
fi
((code == 130)) || { echo "FAILED: exit code $code, not 130"; exit 1; }
[[ $said =~ "interrupted: interrupted twice in variant".*"last launch: " ]] || { echo 'FAILED: no word of what was done'; exit 1; }
[[ ${said##*interrupted: } != *'no progress'* ]] || { echo 'FAILED: a time that is no reason'; exit 1; }
