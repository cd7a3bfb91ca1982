"""Writes src/nightmail/tokens/golden.json: what tiktoken counts for the samples below.

    TIKTOKEN_CACHE_DIR=FOLDER python scripts/golden_tokens.py

FOLDER holds tiktoken's vocabularies (it downloads them there if they are not). Run it again only when a
sample is added or tiktoken counts differently; say which in the changelog.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import tiktoken

VOCABULARIES = ("cl100k_base", "o200k_base")
TARGET = Path(__file__).parents[1] / "src/nightmail/tokens/golden.json"

# Name, text, times. All of it written for this file.
SAMPLES: tuple[tuple[str, str, int], ...] = (
    ("empty", "", 1),
    (
        "prose",
        "The night mail left the terminus at 20:30, eleven minutes late. Nobody on the platform seemed to "
        "mind; they'd all seen worse. \"It'll be there by morning,\" the guard said, and it was — on time, "
        "somehow, with every letter accounted for.\n\nWe've asked since how that was done. He wouldn't say.",
        1,
    ),
    ("repeated prose", "Letters sorted on the move arrive with the milk. ", 200),
    (
        "python",
        "def settle(rows: list[Row], *, now: datetime) -> dict[str, int]:\n"
        '    """Counts by state."""\n'
        "    tally: dict[str, int] = defaultdict(int)\n"
        "    for row in rows:\n"
        "        if row.due_at is not None and row.due_at <= now:\n"
        "            tally[row.state] += 1  # 0x1F, 1e-12, 3.14159\n"
        "    return dict(tally)\n",
        1,
    ),
    (
        "c and tabs",
        'int main(void) {\n\tfor (size_t i = 0; i < 10; ++i)\n\t\tprintf("%zu\\n", i);\n\treturn 0;\n}\n',
        1,
    ),
    ("sql", "SELECT run_id, COUNT(*) AS n FROM requests WHERE state = 'ready' GROUP BY 1 HAVING n > 5;", 1),
    (
        "json",
        '{"custom_id":"sections-7f3a_41","body":{"model":"gpt-4o-mini","messages":[{"role":"user","content":'
        '"line\\nbreak \\u00e9"}],"temperature":0.2,"tags":["a","b"],"none":null}}',
        1,
    ),
    (
        "url",
        "https://example.org/a/b%20c?q=night+mail&page=2#part-3 ftp://files.example.net:2121/~me/x.tar.gz",
        1,
    ),
    ("chinese", "夜班邮车在晚上八点半离开车站，晚了十一分钟。每一封信都在清晨送达。", 1),
    ("japanese", "夜行郵便列車は二十時三十分に出発した。手紙は朝までにすべて届きます。カタカナもある。", 1),
    ("korean", "야간 우편 열차는 여덟 시 반에 떠났다. 모든 편지는 아침까지 도착한다.", 1),
    ("russian", "Ночной почтовый поезд отошёл в 20:30, опоздав на одиннадцать минут. ПОЧТА", 1),
    ("arabic", "غادر قطار البريد الليلي المحطة في الثامنة والنصف، متأخراً إحدى عشرة دقيقة.", 1),
    ("hindi", "रात की डाक गाड़ी साढ़े आठ बजे चली। सभी पत्र सुबह तक पहुँच जाते हैं।", 1),
    ("thai", "รถไฟไปรษณีย์กลางคืนออกเวลาสองทุ่มครึ่ง", 1),
    ("hebrew", "רכבת הדואר הלילית יצאה בשמונה וחצי.", 1),
    (
        "greek and accents",
        "Το νυχτερινό ταχυδρομείο. Ça va? Übergrößen, naïve façade, Žluťoučký kůň, cafe\u0301",
        1,
    ),
    ("emoji", "Sent 📬 and sorted 🚂💨 by 👩🏽‍💻 and 👨‍👩‍👧‍👦 in 🇳🇱🇯🇵, 3️⃣ times ❤️‍🔥", 1),
    (
        "special tokens",
        "a<|endoftext|>b <|fim_prefix|><|im_start|>system<|im_end|> <|endofprompt|> <|start|>",
        1,
    ),
    ("whitespace", "  two\t\ttabs \n\n\n   \r\n \u00a0\u2003wide\u3000space   \n", 1),
    ("spaces", " ", 3000),
    ("newlines", "\n", 1000),
    ("one letter", "a", 5000),
    ("digits", "1234567890 12 345 6789 1,234,567.89 ½ ² Ⅷ ٣٤٥ ", 5),
    ("contractions", "I'm you're it's we'll they'd I've DON'T SHE'LL IT'S 'Tis o'clock rock'n'roll ’s", 1),
    ("case", "camelCase HTTPServer snake_case SCREAMING_CASE iPhone XMLHttpRequest2 ABCdef aBcDeF", 1),
    ("mixed scripts", "GPT模型とtoken数をcountする: 1つのrecord=여러 токен𝛂𝓫ℂ ﬁ Ǆ ǅ", 1),
    ("rare", "𓀀 𐍈 ꙮ \u0000 \u001f \u007f \u200b \ufeff \ufffd \U0010ffff ‱ ∑ ⟦x⟧ \u1100\u1161\u11a8", 1),
    ("punctuation", "!!! ??? ... --- === *** /// \\\\\\ ((())) [{<>}] @#$%^&*_+|~`\n// ----\n/* */", 1),
    ("markdown", "# Title\n\n- [x] done\n- **bold** and `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", 1),
    ("hex and base64", "deadbeef0123456789abcdef 8J+Ssy1uaWdodG1haWwtLXRva2Vucw== a3f9-4c21-b7e0", 1),
)


def main() -> None:
    encodings = {name: tiktoken.get_encoding(name) for name in VOCABULARIES}
    samples = [
        {
            "name": name,
            "text": text,
            "times": times,
            "tokens": {
                key: len(encoding.encode_ordinary(text * times)) for key, encoding in encodings.items()
            },
        }
        for name, text, times in SAMPLES
    ]
    content = {"tiktoken": version("tiktoken"), "samples": samples}
    TARGET.write_text(json.dumps(content, ensure_ascii=True, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
