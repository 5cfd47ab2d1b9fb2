# This study's experiments for people with nixpkgs: the same derivations as those of the flake at the top, but with the
# Python, the packages and the tools of nixpkgs instead of the files of the closure lock. That is another environment:
# its results need not be those of the study byte for byte, and nothing that is built here goes into a proof.
#
#   nix build ./nix/nixpkgs#NAME      an experiment: the output is its result and nothing else
#   nix run ./nix/nixpkgs#NAME        build it and show digests and metrics
#   nix develop ./nix/nixpkgs         a shell with that Python, and with the pins
#   nix flake check ./nix/nixpkgs     build everything
#
# Git has to track these files. The data comes out of the store, as for the flake at the top: `entrenar-research env
# seed`, or `nix store add-file DATA`. The first command writes nix/nixpkgs/flake.lock, which names the nixpkgs.
{
  description = "A computational study, with the Python of nixpkgs";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      read = path: builtins.fromJSON (builtins.readFile path);
      locked = read ../closure.lock.json;
      jobs = (read ../experiments.json).experiments;
      own = import ../toolchain.nix { lock = locked; };
      # How x86 processors are held to one kind means nothing to others.
      unfit = [ "GLIBC_TUNABLES" "NPY_DISABLE_CPU_FEATURES" "OPENBLAS_CORETYPE" ];

      on = system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          pins = if system == locked.system then locked.pins else removeAttrs locked.pins unfit;
          find = packages: wheel: packages.${wheel.name} or (throw
            "nixpkgs has no Python package ${wheel.name}, which nix/closure.lock.json names");
          environment = pkgs.python3.withPackages (packages: map (find packages) locked.wheels);
          # What a script imports to log to its run, where Python looks for it.
          client = pkgs.runCommand "client" { } "mkdir $out && cp -r ${own.client} $out/entrenar_research";
          experiment = name: job: import ../experiment.nix {
            toolchain = { inherit (own) blob text; inherit environment; python = environment; tools = pkgs.busybox; };
            lock = { inherit system pins; };
            root = ../..;
            inherit name;
            job = job // { environment = { PYTHONPATH = "${client}"; } // job.environment or { }; };
          };
        in
        rec {
          experiments = builtins.mapAttrs experiment jobs;
          inherit environment;
          shell = pkgs.mkShell (pins // { packages = [ environment ]; PYTHONPATH = "${client}"; });
          shown = name: pkgs.writeShellApplication {
            name = "show-${name}";
            runtimeInputs = [ environment ];
            text = "exec python3 -I -B ${own.text ../show-result.py} ${name} ${experiments.${name}}";
          };
        };

      each = make: builtins.listToAttrs
        (map (system: { name = system; value = make (on system); }) [ "x86_64-linux" "aarch64-linux" ]);
    in
    {
      packages = each (here: here.experiments // { inherit (here) environment; });
      checks = each (here: here.experiments);
      devShells = each (here: { default = here.shell; });
      apps = each (here: builtins.mapAttrs
        (name: _: {
          type = "app";
          program = "${here.shown name}/bin/show-${name}";
          meta.description = "Build ${name} with nixpkgs and show its result";
        })
        here.experiments);
    };
}
