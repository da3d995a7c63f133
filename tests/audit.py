"""Ask for known vulnerabilities of what is installed here; a machine that cannot ask says so and passes."""

import json
import subprocess
import sys

UNREACHABLE = ("ConnectionError", "ServiceError", "Max retries", "HTTPError", "timed out", "Could not", "Forbidden")


def main() -> int:
    """Return 0 where nothing is known, or nothing can be asked; 1 where something is known that has a remedy."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        sys.stdout.write("audit: skipped: the list of vulnerabilities does not answer\n")
        return 0
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        if any(word in done.stderr for word in UNREACHABLE):
            sys.stdout.write(f"audit: skipped: the list of vulnerabilities cannot be reached: {last[:300]}\n")
            return 0
        sys.stdout.write(f"audit: failed: {last[:300]}\n")
        return 1
    known = [(one["name"], one["version"], bad) for one in found for bad in one.get("vulns", ())]
    for name, version, bad in known:
        sys.stdout.write(
            f"audit: {name} {version}: {bad['id']}, mended in {', '.join(bad['fix_versions']) or 'none'}\n"
        )
    asked = [one for one in found if "vulns" in one]
    if not asked:
        why = next((one["skip_reason"] for one in found), "nothing is installed")
        sys.stdout.write(f"audit: skipped: not one of {len(found)} packages can be asked about: {why[:200]}\n")
        return 0
    sys.stdout.write(f"audit: {len(asked)} packages asked about, {len(known)} vulnerabilities known\n")
    return int(any(bad["fix_versions"] for _, _, bad in known))


if __name__ == "__main__":
    sys.exit(main())
