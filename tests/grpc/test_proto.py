"""`make proto`: the generated files are those that the .proto files make, with the pinned tools."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "django_cfg/apps/integrations/grpc/services/commands/examples"
GENERATED = ("fleet_pb2.py", "fleet_pb2.pyi", "fleet_pb2_grpc.py", "fleet_pb2_grpc.pyi")


def check() -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "scripts/proto", "--check"], capture_output=True, text=True, timeout=300)


def test_the_generated_files_are_up_to_date() -> None:
    done = check()
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_are_absolute_and_versions_are_stated() -> None:
    """What they state is also what the extra asks for, at least."""
    sources = {name: (EXAMPLES / name).read_text("utf-8") for name in GENERATED}
    assert "from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2" in sources[GENERATED[2]]
    grpcio = re.search(r"GRPC_GENERATED_VERSION = '(.*)'", sources["fleet_pb2_grpc.py"])
    protobuf = re.search(r"Protobuf Python Version: (\d+\.\d+)", sources["fleet_pb2.py"])
    assert grpcio is not None
    assert protobuf is not None
    assert f"grpcio-tools=={grpcio[1]}" in (ROOT / "scripts/proto-requirements.txt").read_text("utf-8")
    extra = re.search(r"^grpc = (.*)$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert extra is not None
    assert f'"grpcio>={grpcio[1]}"' in extra[1]
    assert f'"protobuf>={protobuf[1]}' in extra[1]


def test_a_difference_is_told(tmp_path: Path) -> None:
    """In a copy of the files, so that nobody else meets the damaged one."""
    copy = tmp_path / "project"
    folder = copy / EXAMPLES.relative_to(ROOT)
    folder.mkdir(parents=True)
    for path in EXAMPLES.glob("fleet*"):
        (folder / path.name).write_bytes(path.read_bytes())
    (copy / "scripts").mkdir()
    for name in ("proto", "proto-requirements.txt"):
        (copy / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
    (copy / ".cache").mkdir()
    (copy / ".cache" / "proto").symlink_to(ROOT / ".cache" / "proto")
    proto = folder / "fleet.proto"
    proto.write_text(proto.read_text("utf-8") + "\nmessage Another {}\n")

    done = subprocess.run(["bash", copy / "scripts/proto", "--check"], capture_output=True, text=True, timeout=300)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "Another" in done.stdout
    assert "make proto" in done.stderr
