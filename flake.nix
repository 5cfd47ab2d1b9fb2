# What Nix can say about this study without fetching anything: no inputs, so no lock file, and it evaluates offline.
#
#   nix eval .#lib.study --json     the study's name and its experiments
#   nix run .                       the same, for people
#
# It builds nothing yet: experiments run on the host (`make demo`), and what they prove is marked as not hermetic.
{
  description = "A computational study that a stranger can check; for now Nix lists its experiments and builds none";

  outputs = { self }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEach = names: value: builtins.listToAttrs (map (name: { inherit name; value = value name; }) names);

      folder = ./experiments;
      entries = if builtins.pathExists folder then builtins.readDir folder else { };
      isExperiment = name:
        entries.${name} == "directory" && builtins.pathExists (folder + "/${name}/experiment.yaml");
    in
    {
      lib.study = {
        name = "entrenar-research";
        experiments = builtins.filter isExperiment (builtins.attrNames entries);
      };

      apps = forEach systems (system: {
        default = {
          type = "app";
          # The source is in the store already. Without its context, because Nix 2.8 takes every context for that of
          # a derivation and stops.
          program = builtins.unsafeDiscardStringContext "${self}/scripts/list-experiments";
        };
      });
    };
}
