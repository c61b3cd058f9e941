# Sourced by the scripts: where build products go. Nothing is built inside the tree.
cache=${JACKFIELD_INTEROP_CACHE:-$HOME/.cache/jackfield-interop}
mkdir -p "$cache"
