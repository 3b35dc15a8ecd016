"""What a command loads before it begins: a library that one source or one model needs is not everybody's wait."""

from __future__ import annotations

import subprocess
import sys

RARE = ("ccxt", "duckdb", "langchain_openai", "nltk", "openai", "praw", "pyarrow", "textblob")


def test_a_session_is_ready_without_the_libraries_that_few_sessions_need() -> None:
    code = f"import sys, api.commands.session, graph.channels; print([name for name in {RARE} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "[]\n"
