#!/bin/sh
# Builds both images without Docker and without an image registry, and runs a job in them. Needs root, a network with
# Debian's and Python's packages, and: apt-get install buildah mmdebstrap util-linux; make setup
#   BUILD_OPTIONS="--volume /etc/pip.conf:/etc/pip.conf:ro" deploy/try-images.sh
# The bases are Debian packages instead of the images that the Dockerfiles name. The commands run as user 10001 with
# the images' own environment; the root file system is read-only except for the paths that compose.yaml makes writable.
set -eu
cd "$(dirname "$0")/.."
export BUILDAH_ISOLATION=chroot
work=${WORK:-out/images} python=.venv/bin/python
mkdir -p "$work" && work=$(cd "$work" && pwd)

debian() { # NAME VARIANT PACKAGES: a base image of Debian packages; with the same packages, cached layers stay valid
  buildah inspect --type image "localhost/$1" > /dev/null 2>&1 && return
  test -e "$work/$1.tar" || mmdebstrap --quiet --variant="$2" --include="$3" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$work/$1.tar"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/$1.tar" / > /dev/null
  buildah commit --quiet "$container" "localhost/$1" > /dev/null
  buildah rm "$container" > /dev/null
}

build() { # NAME OPTIONS...
  name=$1; shift
  # shellcheck disable=SC2086 - options are words
  buildah build ${BUILD_OPTIONS:-} --layers --pull-never --format docker --quiet -f "deploy/${name#easel-}.Dockerfile" -t "localhost/$name" "$@" . > "$work/$name-build.log" 2>&1
}

run() { # IMAGE COMMAND...: in the image's root file system, read-only, as its user
  image=$1; shift
  container=$(buildah from --pull-never "localhost/$image")
  root=$(buildah mount "$container")
  mkdir -p "$root/data" "$root/dev" "$root/proc" "$root/tmp"
  image_environment=$(buildah inspect --type image --format '{{range .OCIv1.Config.Env}}{{.}} {{end}}' "localhost/$image")
  export image_environment
  # shellcheck disable=SC2016 - the inner shell expands it
  exec unshare --mount sh -euc '
    root=$1 data=$2; shift 2
    mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
    for folder in tmp var/cache/easel; do test ! -d "$root/$folder" || mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"; done
    mount --bind "$data" "$root/data"
    mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc"
    exec env -i $image_environment EASEL_HOST=127.0.0.1 EASEL_PORT=7380 EASEL_LIVENESS_FILE=/tmp/alive \
      EASEL_REDIS_URL=redis://127.0.0.1:7379/0 EASEL_STORE_URL=file:///data \
      chroot --userspec=10001:10001 "$root" "$@"
  ' sh "$root" "$work/data" "$@"
}

debian easel-builder minbase python3,python3-venv,python3-pip,ca-certificates
debian easel-runtime extract base-files,python3,ca-certificates,tzdata,libstdc++6,libgcc-s1,netbase,media-types
build easel-api --build-arg BUILDER=localhost/easel-builder --build-arg RUNTIME=localhost/easel-runtime
build easel-worker --build-arg BASE=localhost/easel-builder
buildah images --format '{{.Name}} {{.Size}}' | grep easel-

rm -rf "$work/data" && install -d -o 10001 -g 10001 "$work/data"
valkey=$($python -c 'from deploy.local.stack import valkey_binary; print(valkey_binary())')
pids=
trap 'kill $pids 2> /dev/null || true; wait; buildah rm --all > /dev/null' EXIT
"$valkey" --port 7379 --bind 127.0.0.1 --save '' --dir "$work/data" > "$work/valkey.log" 2>&1 & pids="$pids $!"
run easel-api python3 -m api > "$work/api.log" 2>&1 & pids="$pids $!"
run easel-worker easel-worker start --name try@images > "$work/worker.log" 2>&1 & pids="$pids $!"
run easel-worker easel-worker reaper > "$work/reaper.log" 2>&1 & pids="$pids $!"
for _ in $(seq 60); do
  $python -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:7380/readyz")' 2> /dev/null && break || sleep 1
done
$python -m deploy.local samples > /dev/null
EASEL_URL=http://127.0.0.1:7380 .venv/bin/easel submit out/photo.png out/painting.jpg --recipe patches --size 128 -o "$work/result.png"
file "$work/result.png" 2> /dev/null || ls -l "$work/result.png"
