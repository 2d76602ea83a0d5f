"""The recipe for Spark, its function without Spark: what a worker does with a batch."""

import re

import pandas as pd
from samples import ROOT, spoken, wav


def test_the_recipe_on_a_batch():
    text = (ROOT / "docs" / "python-clusters.md").read_text()
    recipe = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "pandas_udf" in block)
    function = recipe.split("files = spark")[0].replace("from pyspark.sql.functions import pandas_udf\n", "")
    names = {"pandas_udf": lambda schema: lambda function: function}
    exec(function.replace("/models/gigaam-v3", "embedded"), names)
    rows = names["transcribe"](pd.Series([wav("sample_08").read_bytes(), b""]))
    assert rows.values.tolist()[0][0] == spoken("sample_08")
    assert rows["error"].tolist() == ["", "invalid_audio"]
