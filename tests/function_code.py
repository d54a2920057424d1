"""Temporary replacement of a deployed function's code."""

import io
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from infra.ops.local import stage as local_stage
from tests.deployment import Deployment


@contextmanager
def running(deployment: Deployment, function: str, code: bytes) -> Iterator[None]:
    """Replace a function's code for a while."""
    functions, before = deployment.functions, deployed_code(deployment, function)
    # No retries: MiniStack would retry with the failing code, even after it was replaced.
    functions.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    functions.update_function_code(FunctionName=function, ZipFile=code)
    try:
        yield
    finally:
        time.sleep(1)  # for invocations that still run
        functions.update_function_code(FunctionName=function, ZipFile=before)
        functions.delete_function_event_invoke_config(FunctionName=function)
        local_stage.add_failure_queue()


def deployed_code(deployment: Deployment, function: str) -> bytes:
    location = deployment.functions.get_function(FunctionName=function)["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        code: bytes = answer.read()
        return code


def packed(sources: dict[str, str]) -> bytes:
    """Make the zip of a small function."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as file:
        for name, source in sources.items():
            file.writestr(name, source)
    return package.getvalue()


def edited(code: bytes, name: str, *changes: tuple[str, str]) -> bytes:
    """Replace texts in a module of a zip."""
    package = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(code)) as before, zipfile.ZipFile(package, "w") as after:
        for one in before.infolist():
            text = before.read(one)
            for old, new in changes if one.filename == name else ():
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode())
            after.writestr(one, text)
    return package.getvalue()
