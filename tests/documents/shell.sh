# What stands for installers in the documentation's shell blocks: nothing is downloaded, what is asked for must be there.
pip() { python "$DOCUMENTS/installed.py" "$@"; }
npm() {
  [ "$1" = install ] || { echo "npm $1?" >&2; return 1; }
  shift
  [ -e node_modules ] || ln -s "$NODE_MODULES" node_modules
  for name in "$@"; do [ "${name#-}" != "$name" ] || [ -d "node_modules/$name" ] || { echo "$name is not installed" >&2; return 1; }; done
}
make() { :; }  # the targets of the repository have tests of their own
npx() { "$NODE_MODULES/.bin/$1" "${@:2}"; }
python() {
  [ "${2-}" = grpc_tools.protoc ] || { command python "$@"; return; }
  "$SCRIPTS/proto" --run "${@:3}"  # the pinned compiler, which has an environment of its own
}
