# Everything that Nix can build of this study. `flake.nix` passes on what is here; `nix-build nix -A experiments.NAME`
# works where there are no flakes.
{ root ? ../.
, lock ? builtins.fromJSON (builtins.readFile (root + "/nix/closure.lock.json"))
, jobs ? builtins.fromJSON (builtins.readFile (root + "/nix/experiments.json"))
, run ? null
, parent ? null
}:
let
  toolchain = import ./toolchain.nix { inherit lock; };
  built = evidence: builtins.mapAttrs
    (name: job: import ./experiment.nix ({ inherit toolchain lock root name job evidence; }
      // (if evidence == null then { } else { inherit run parent; })))
    jobs.experiments;
in
{
  inherit lock toolchain;
  experiments = built null;
  traced = { none = built "none"; observe = built "observe"; full = built "full"; };
}
