#!/bin/bash
# Bootstrap action of EMR: puts the package on a node. Arguments: where it is in S3, the folder that it goes to.
set -euo pipefail
code="${1%/}" home="$2"

sudo mkdir -p "$home"
sudo chown "$(id -u):$(id -g)" "$home"
cd "$home"
for file in SHA256SUMS environment.tar.gz entry.py; do
  aws s3 cp --only-show-errors "$code/$file" "$file"
done
sha256sum --check --strict --quiet --ignore-missing SHA256SUMS
mkdir environment
tar -xzf environment.tar.gz -C environment
rm environment.tar.gz
