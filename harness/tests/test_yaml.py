# SPDX-License-Identifier: MIT
"""What yaml_write() writes, PyYAML reads back as the same value."""

import json
import random
import subprocess
import unittest

import yaml

import support

WORDS = ["", " ", "a", "yes", "No", "ON", "y", "n", "null", "Null", "~", "true", "False", "nan",
         ".inf", "0x10", "12", "1e3", "1_000", "2026-01-01", "12:30:45", "=", "<<", "-", "- a",
         "? a", ": a", "a:", "a: b", "a :b", "a #b", "a# b", "#a", "*a", "&a", "!a", "%a", "@a",
         "`a`", "'a'", '"a"', "[a]", "{a}", "a, b", "|", ">", "a\\nb", "a\\", "---", "...",
         "a ", " a", "it's", "C:\\x", "é", "a€", "…", "\U0001f427"]
TEXTS = ["\n", "a\n", "a\nb", "a\nb\n", "a\n\nb\n", "a\n\n", "\na\n", " a\nb\n", "a\n  b\n",
         "a\n \nb\n", "a\n\tb\n", "\ta\n", "a \nb\n", "---\na\n", "a\n---\n...\n", "# a\nb\n",
         "a: b\n- c\n", "tab\there", "é\n€\n", '"a\nb"\n', "\ufeffa", "\u00a0a\n"]


def written(value: object) -> str:
    return subprocess.run([support.BUILD / "yaml-filter"], input=json.dumps(value), text=True,
                          check=True, capture_output=True, timeout=20).stdout


class Yaml(unittest.TestCase):
    def check(self, value: object) -> None:
        text = written(value)
        self.assertEqual(yaml.safe_load(text), value, text)

    def test_each_scalar(self):
        self.check({f"k{i}": word for i, word in enumerate(WORDS + TEXTS)})
        self.check({"list": WORDS + TEXTS, "nested": {"list": [[t, "x"] for t in TEXTS]}})

    def test_values_that_are_no_strings(self):
        self.check({"number": 1, "real": 1.5, "truth": True, "nothing": None, "empty": {},
                    "none": [], "deep": {"list": [[], {}, [1, [2, {"a": "b"}]]]}}
                   | {"list of objects": [{"a": 1, "b": "c: d"}, {"e": ["f"]}]})

    def test_random_texts(self):
        """Characters that records can hold: see text() in record.c."""
        letters = "ab01 \n\t:#-|>'\"\\{}[],&*!%@`?~=.é€\U0001f427"
        dice = random.Random(1)
        texts = {f"k{i}": "".join(dice.choices(letters, k=dice.randrange(12)))
                 for i in range(3000)}
        self.check(texts)
        self.check({"list": list(texts.values())})
