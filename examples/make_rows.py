"""Write modules.jsonl: name and docstring of the standard library's modules, about 150 rows."""

import ast
import json
import sysconfig
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
with Path("modules.jsonl").open("w", encoding="utf-8") as file:
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8", errors="replace")))
        if text:
            file.write(json.dumps({"id": path.stem, "text": text[:2000]}) + "\n")
