# This study, for Nix: no inputs, so no lock file, and everything evaluates offline. The files that the toolchain is
# made of are named by digest in nix/closure.lock.json; `entrenar-research env seed` puts them into the store.
#
#   nix build .#NAME              an experiment: the output is its result and nothing else
#   nix build .#NAME --rebuild    once more, and complain if a byte differs
#   nix run .#NAME                build it and show digests and metrics
#   nix build .#NAME-traced.trace   its system calls and streams; without `.trace` the result of that execution
#   nix shell .#toolchain         the Python that experiments run with
#   nix flake check               build everything
#
# In the repository of entrenar-research itself (nix/tool is nowhere else) there is the tool besides:
#
#   nix run . -- --version        entrenar-research, built from these files
{
  description = "A computational study that a stranger can check";

  outputs = { self }:
    let
      locked = builtins.pathExists ./nix/closure.lock.json && builtins.pathExists ./nix/experiments.json;
      study = import ./nix { root = ./.; };
      inherit (study) lock toolchain;
      system = if locked then lock.system else tool.lock.system;
      names = builtins.attrNames study.experiments;
      each = make: builtins.listToAttrs (map make names);

      # A program that shows a result: in the store, and from the toolchain alone.
      shown = name: derivation {
        name = "show-${name}";
        inherit system;
        builder = "${toolchain.busybox}/bin/busybox";
        args = [ "sh" "-c" "$busybox/bin/busybox mkdir -p $out/bin && $busybox/bin/busybox printf '%s' \"$script\" > $out/bin/show-${name} && $busybox/bin/busybox chmod +x $out/bin/show-${name}" ];
        inherit (toolchain) busybox;
        script = "#!${toolchain.busybox}/bin/busybox sh\nexec ${toolchain.environment}/bin/python3 -I -B ${toolchain.text ./nix/show-result.py} ${name} ${study.experiments.${name}}\n";
      };

      tool = if builtins.pathExists ./nix/tool then import ./nix/tool { root = ./.; } else null;
      own = make: if tool == null then { } else { ${tool.name} = make tool; default = make tool; };

      folder = ./experiments;
      entries = if builtins.pathExists folder then builtins.readDir folder else { };
      declared = builtins.filter
        (name: entries.${name} == "directory" && builtins.pathExists (folder + "/${name}/experiment.yaml"))
        (builtins.attrNames entries);
    in
    { lib.study.experiments = declared; } // (if !locked && tool == null then { } else {
      packages.${system} = own (tool: tool.program) // (if !locked then { } else study.experiments
        // each (name: { name = "${name}-traced"; value = study.traced.full.${name}; })
        // { toolchain = toolchain.environment; });

      apps.${system} = own (tool: {
        type = "app";
        program = "${tool.program}/bin/${tool.name}";
        meta.description = "The tool itself";
      }) // (if !locked then { } else each (name: {
        inherit name;
        value = {
          type = "app";
          program = "${shown name}/bin/show-${name}";
          meta.description = "Build ${name} and show its result";
        };
      }));

      checks.${system} = if locked then study.experiments else { };
    });
}
