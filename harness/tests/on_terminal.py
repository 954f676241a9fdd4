#!/usr/bin/env python3
"""What a program shows on a terminal: on_terminal.py COLUMNS PROGRAM ARGUMENTS...

Exit 0 when it fits: no line is longer, but one whose last word is a path or address, which stays whole. Else 1, with the
lines that do not."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios


def on_terminal(columns, command):
    """-> what it shows, without codes and overwritten lines, and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as program:
        os.close(theirs)
        text = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # nobody writes there any more
                break
            if not more:
                break
            text += more
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode(errors="replace")).replace("\r\n", "\n")
    return "".join(line.rsplit("\r", 1)[-1] for line in plain.splitlines(True)), program.returncode


def too_long(text, columns):
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if len(line) > columns and "/" not in line.rsplit(" ", 1)[-1]]


def main():
    columns = int(sys.argv[1])
    text, _ = on_terminal(columns, sys.argv[2:])
    long = too_long(text, columns)
    for line in long:
        print(f"longer than {columns} columns: {line}")
    sys.exit(bool(long) or not text)


if __name__ == "__main__":
    main()
