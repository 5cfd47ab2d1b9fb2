# The tool itself, from the files of this repository and the packages of nix/tool/closure.lock.json: only here, studies
# have no such folder. The toolchain is made as that of experiments is; with the same Debian packages it is the same
# Python.
{ root ? ../..
, lock ? builtins.fromJSON (builtins.readFile ./closure.lock.json)
}:
let
  toolchain = import ../toolchain.nix { inherit lock; };
  inherit (toolchain) python blob text;
  # Without the client: all of the package is built from the same files below.
  environment = derivation (builtins.removeAttrs toolchain.environment.drvAttrs [ "client" ]);

  project = builtins.fromTOML (builtins.readFile (root + "/pyproject.toml"));
  package = "entrenar_research";
  version = builtins.head (builtins.match ".*__version__ = \"([^\"]+)\".*"
    (builtins.readFile (root + "/${package}/__init__.py")));

  # What goes into the package and nothing else, so that a change to tests or documents changes nothing here.
  single = [ "pyproject.toml" project.project.readme ] ++ project.project.license-files
    ++ builtins.attrNames project.tool.hatch.build.targets.wheel.force-include;
  modules = folder:
    let entries = builtins.readDir (root + "/${folder}"); in
    builtins.concatLists (map
      (name:
        if entries.${name} == "directory" then modules "${folder}/${name}"
        else if builtins.match ".*\\.py" name != null then [ "${folder}/${name}" ]
        else [ ])
      (builtins.attrNames entries));
  files = single ++ modules package;

  # Folders that hold one of them: an empty one, which Git does not know, must not make a difference.
  above = path: let folder = dirOf path; in if folder == "." then [ ] else [ folder ] ++ above folder;
  wanted = builtins.listToAttrs (map (name: { inherit name; value = true; })
    (files ++ builtins.concatLists (map above files)));
  start = builtins.stringLength (toString root) + 1;
  source = builtins.path {
    path = root;
    name = "${project.project.name}-source";
    filter = path: type: wanted ? ${builtins.substring start (-1) path};
  };
in
{
  inherit lock version source python environment;
  inherit (project.project) name;
  program = derivation {
    name = "${project.project.name}-${version}";
    inherit (lock) system;
    inherit source environment python;
    builder = "${environment}/bin/python3";
    args = [ "-I" "-B" (text ./build-tool.py) ];
    PATH = "${environment}/bin";
    installer = blob lock.installer;
    LC_ALL = "C.UTF-8";
    TZ = "UTC";
    SOURCE_DATE_EPOCH = lock.pins.SOURCE_DATE_EPOCH;
    PYTHONHASHSEED = "0";
    PYTHONDONTWRITEBYTECODE = "1";
  };
}
