# As much of nixpkgs as nix/nixpkgs/flake.nix uses, made of the toolchain of a closure lock: what those who have no
# nixpkgs can try that flake with. The folder is given the study's own nix/ before it is used.
{
  description = "A stand-in for nixpkgs";

  outputs = { self }:
    let
      lock = builtins.fromJSON (builtins.readFile ./nix/closure.lock.json);
      toolchain = import ./nix/toolchain.nix { inherit lock; };
      inherit (toolchain) busybox tools environment;

      on = system: rec {
        # Of nixpkgs' Python packages those of the lock, by the names that nixpkgs has for them.
        python3.withPackages = choose:
          builtins.deepSeq (choose { numpy = "numpy"; pyyaml = "pyyaml"; safetensors = "safetensors"; }) environment;

        busybox = tools;

        runCommand = name: variables: script: derivation (variables // {
          inherit name system;
          builder = "${toolchain.busybox}/bin/busybox";
          args = [ "sh" "-euc" script ];
          PATH = "${tools}/bin";
        });

        writeShellApplication = { name, runtimeInputs, text }: runCommand name { inherit text; } ''
          mkdir -p $out/bin
          printf '#!%s sh\nset -eu\nPATH=%s\n%s\n' ${toolchain.busybox}/bin/busybox \
            ${builtins.concatStringsSep ":" (map (input: "${input}/bin") runtimeInputs)} "$text" > $out/bin/${name}
          chmod +x $out/bin/${name}
        '';

        mkShell = variables: runCommand "shell" variables "printf '%s' \"$packages\" > $out";
      };
    in
    {
      legacyPackages = { x86_64-linux = on "x86_64-linux"; aarch64-linux = on "aarch64-linux"; };
    };
}
