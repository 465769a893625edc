"""Checks what ships the proxy (deploy/): python check.py FOLDER, run by `cargo xtask test deploy` in an environment of its own.

Each kind of file is judged by the tool that its users have (hadolint, the Compose specification, Helm's own engine with the schemas of
Kubernetes, systemd-analyze), and by rules about what must never be weakened. Every tool is shown something broken first.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import chart

BIN = Path(sys.executable).parent


def run(*command, given=None):
    """Exit code and everything that was said."""
    done = subprocess.run([str(part) for part in command], input=given, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def need(holds, says):
    if not holds:
        raise SystemExit(f"FAIL    {says}")


def dockerfile(path):
    text = path.read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    instructions = [line.split(None, 1) for line in lines if line[0].isalpha()]
    images = [rest for word, rest in instructions if word == "FROM"]
    need(all(":" in image and ":latest" not in image for image in images), "every base image has a tag")
    need("distroless" in images[-1] and "nonroot" in images[-1], "the last stage has no shell and is not root")
    last = lines[len(lines) - 1 - [line.startswith("FROM") for line in reversed(lines)].index(True) :]
    need("USER 65532:65532" in last, "the user is named by numbers, so that a cluster can tell it is not root")
    need(not any(line.startswith("RUN") for line in last), "nothing runs in a stage without a shell")
    for word in ("ENTRYPOINT", "CMD"):
        need(all(rest.startswith("[") for name, rest in instructions if name == word), f"{word} needs no shell")
    need('"proxy", "--container"]' in last[-1], "arguments of `docker run` are those of the proxy")
    tool = BIN / "hadolint"
    if not tool.exists():
        print("skipped hadolint: no binary of it for this machine")
        return
    code, _ = run(tool, "-", given="FROM debian\nRUN sudo apt-get install x\n")
    need(code != 0, "hadolint notices a bad Dockerfile")
    code, said = run(tool, "--failure-threshold", "info", path)
    need(code == 0, f"hadolint: {said}")
    print("ok      Dockerfile: rules of this repository, hadolint without a finding")


def compose(path):
    document = yaml.safe_load(path.read_text())
    service = document["services"]["proxy"]
    need(service["read_only"] is True, "the root file system is read-only")
    need(service["cap_drop"] == ["ALL"] and "cap_add" not in service, "no capability")
    need("no-new-privileges:true" in service["security_opt"], "no new privileges")
    need(all(port.startswith("127.0.0.1:") for port in service["ports"]), "ports are published on this machine only")
    need("environment" not in service, "no secret in the environment")
    drain = service["command"][service["command"].index("--drain") + 1]
    need(float(service["stop_grace_period"].rstrip("s")) > float(drain), "longer than the drain")
    context = (path.parent / service["build"]["context"]).resolve()
    need((context / service["build"]["dockerfile"]).is_file(), "the Dockerfile is where the build looks for it")
    tool = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / "compose.yaml"
        broken.write_text(yaml.safe_dump({"services": {"proxy": {**service, "read_onyl": True}}}))
        code, _ = run(*tool, broken)
        need(code != 0, "the Compose schema notices an unknown member")
    code, said = run(*tool, path)
    need(code == 0, said)
    print("ok      compose.yaml: rules of this repository, Compose specification")


def unit(path):
    settings = [line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and line[0] not in "#["]
    names = {name for name, _ in settings}
    for name in ("DynamicUser", "LoadCredential", "ProtectSystem", "NoNewPrivileges", "MemoryDenyWriteExecute",
                 "RestrictAddressFamilies", "SystemCallFilter", "CapabilityBoundingSet", "CacheDirectory"):
        need(name in names, f"{path.name}: {name}")
    need(not any("API_KEY=" in value for name, value in settings if name == "Environment"), "no key in the unit")
    tool = shutil.which("systemd-analyze")
    if tool is None:
        print("skipped systemd-analyze: not on this machine; the unit's settings were read only")
        return
    version = int("".join(c for c in run(tool, "--version")[1].split()[1] if c.isdigit())[:3])
    if version < 252:
        print(f"skipped systemd-analyze: version {version} cannot judge a file by itself")
        return
    with tempfile.TemporaryDirectory() as folder:
        # The program is not installed on this machine, so another one stands in for it.
        copy = Path(folder) / path.name
        text = path.read_text().replace("/usr/local/bin/proveil", shutil.which("true"))
        copy.write_text(text.replace("ProtectSystem=strict", "ProtectSytem=strict"))
        need("ProtectSytem" in run(tool, "verify", copy)[1], "systemd-analyze notices an unknown setting")
        copy.write_text(text)
        code, said = run(tool, "verify", "--man=no", copy)
        about = [line for line in said.splitlines() if path.name in line]
        need(code == 0 and not about, f"systemd-analyze verify: {said}")
        code, said = run(tool, "security", "--offline=true", "--threshold=15", "--no-pager", copy)
        need(code == 0, f"systemd-analyze security: {said}")
    print(f"ok      systemd unit: verified, {said.strip().splitlines()[-1].strip(' →')}")


def main():
    deploy = Path(sys.argv[1])
    dockerfile(deploy / "docker/Dockerfile")
    compose(deploy / "docker/compose.yaml")
    unit(deploy / "systemd/proveil-proxy.service")
    chart.check(deploy / "helm/proveil-proxy", need)


main()
