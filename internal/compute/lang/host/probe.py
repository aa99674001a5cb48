import json
import os
import sys

stdlib = os.path.dirname(os.__file__)
dynload = [p for p in sys.path if os.path.basename(p) == "lib-dynload" and os.path.isdir(p)]
ca_file = ""
try:
    import ssl

    ca_file = ssl.get_default_verify_paths().openssl_cafile
except ImportError:
    pass
executable = getattr(sys, "_base_executable", None) or sys.executable
packages = [p for p in (os.path.join(stdlib, n) for n in ("site-packages", "dist-packages")) if os.path.isdir(p)]
json.dump({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "tag": sys.implementation.cache_tag,
    "executable": executable,
    "prefix": sys.base_prefix,
    "stdlib": stdlib,
    "dynload": dynload,
    "ca_file": ca_file,
    "packages": packages,
}, sys.stdout)
