# One experiment as a derivation. `$out` is its result and nothing else, so that it is the same wherever and whenever
# it is built; with `evidence` a second output keeps what was observed of this one execution.
#
# `run` and `parent` are the run's own id and span: a run is executed, however often the same was built before, and on
# this machine: no other is asked whether it would.
{ toolchain, lock, root, name, job, evidence ? null, run ? null, parent ? null }:
let
  inherit (toolchain) tools environment python blob text;

  # Store names know fewer characters than file names.
  allowed = builtins.match "[A-Za-z0-9+._?=-]+";
  storeName = path: let last = baseNameOf path; in if allowed last == null || builtins.substring 0 1 last == "." then "source" else last;

  # Code and parameters come from the study's own files, one by one: a change elsewhere changes nothing here.
  sources = map (path: builtins.path { path = root + "/${path}"; name = storeName path; }) job.files;
  # Data is named by its digest, as Git does not have it.
  tree = data: derivation {
    name = data.store;
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "file:///missing-in-the-store/run-entrenar-research-env-seed/${data.store}";
    unpack = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = data.nar;
    preferLocalBuild = true;
  };
  data = map (item: if item ? nar then tree item else blob item) (job.data or [ ]);
in
derivation (lock.pins // {
  name = if evidence == null then name else "${name}-${evidence}";
  inherit (lock) system;
  builder = "${environment}/bin/python3";
  args = [ "-I" "-B" (text ./run-job.py) ];
  PATH = "${environment}/bin:${tools}/bin";
  inherit environment python;
  sources = sources ++ data;
  places = builtins.toJSON (job.files ++ map (item: item.path) (job.data or [ ]));
  job = builtins.toJSON {
    inherit (job) command result;
    outputs = job.outputs or [ ];
    environment = job.environment or { };
  };
  pins = builtins.attrNames lock.pins;
  outputs = if evidence == null then [ "out" ] else [ "out" "trace" ];
} // (if evidence == null then { } else { level = evidence; preferLocalBuild = true; })
  // (if run == null then { } else { inherit run parent; }))
