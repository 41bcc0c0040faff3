"""Documents 1 and 2: what models, methods and docstrings become in the clients."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.documents import golang, typescript
from tests.documents.accounting import runs
from tests.documents.markdown import Block
from tests.documents.project import Project
from tests.documents.snippets import (
    STUBS,
    assert_declared,
    generate,
    generated,
    naming_methods,
)


@runs("1:149")
def test_basic_use_of_the_decorator(snippets: Project, block: Callable[[str], Block]) -> None:
    snippets.session.run(block("1:149"))
    assert snippets.session.value("await router.handle_message('my.method', {'name': 'Ada'})") == {
        "message": "Hello Ada"
    }
    assert snippets.session.value("(await my_handler(None, MyParams(name='Bo'))).message") == "Hello Bo"


@runs("1:349", "1:356", "1:364", "1:387", "1:394", "1:402", "1:442", "1:449")
def test_types_of_document_1(snippets: Project, block: Callable[[str], Block]) -> None:
    assert_declared(
        generated(snippets, block("1:349"), "Params"), typescript_block=block("1:356"), go_block=block("1:364")
    )
    assert_declared(
        generated(snippets, block("1:387"), "Data"), typescript_block=block("1:394"), go_block=block("1:402")
    )
    assert_declared(generated(snippets, block("1:442"), "Params"), typescript_block=block("1:449"))


@runs("1:373")
def test_nested_models_are_generated(snippets: Project, block: Callable[[str], Block]) -> None:
    folder = generated(snippets, block("1:373"), "User")
    for name in ("Address", "User"):
        assert f"class {name}(" in (folder / "python/models.py").read_text()
        assert name in typescript.declarations((folder / "typescript/types.ts").read_text(), comments=False)
        assert name in golang.declarations((folder / "go/types.go").read_text())


@runs("2:103", "2:114", "2:225", "2:236", "2:248", "2:267")
def test_types_of_document_2(snippets: Project, block: Callable[[str], Block]) -> None:
    assert_declared(generated(snippets, block("2:103"), "UserParams"), typescript_block=block("2:114"))
    assert_declared(generated(snippets, block("2:225"), "SearchParams"), typescript_block=block("2:236"))
    assert_declared(generated(snippets, block("2:248"), "TaskListResult"), typescript_block=block("2:267"))


def assert_called(project: Project, folder: str, calls: Block) -> None:
    """Each call names a method of the generated client."""
    project.session.run(
        "import importlib, sys\nfrom unittest.mock import Mock\n"
        f"api = Mock(spec=importlib.import_module('{folder}.python').APIClient)\n"
    )
    project.session.run(calls)
    assert project.session.value("len(api.method_calls)") == calls.text.count("api.") > 0


@runs("1:484", "1:492", "2:164", "2:179", "2:187")
def test_names_of_methods(snippets: Project, block: Callable[[str], Block]) -> None:
    generate(snippets, "names1", naming_methods(block("1:484")))
    assert_called(snippets, "names1", block("1:492"))
    generate(snippets, "names2", naming_methods(block("2:164")))
    assert_called(snippets, "names2", block("2:179"))
    snippets.write(
        "names2/names.ts",
        f"import type {{ APIClient }} from './typescript';\ndeclare const api: APIClient;\n{block('2:187').text}",
    )
    snippets.link_node_modules()
    typescript.compile_strictly(snippets.directory / "names2", ["names.ts"])


@runs("2:207")
def test_names_of_models(snippets: Project, block: Callable[[str], Block]) -> None:
    snippets.session.run(block("2:207"))
    assert snippets.session.value("CreateTaskParams().model_dump()") == {}


@runs("2:127")
def test_docstring_of_document_2_is_in_the_readme(snippets: Project, block: Callable[[str], Block]) -> None:
    text = block("2:127").text
    generate(snippets, "docstring", STUBS + "CreateTaskParams = Params\nTaskResult = Result\n" + text)
    docstring = re.search(r'"""(.*?)"""', text, re.DOTALL)
    assert docstring is not None
    for language in ("python", "typescript", "go"):
        readme = (snippets.directory / f"docstring/{language}/README.md").read_text()
        assert all(line.strip() in readme for line in docstring[1].split("\n"))
