"""imagededup as its documentation shows it: PHash, default distance 10, one worker."""

from pathlib import Path

from clock import Found, main
from imagededup.methods import PHash


def find(folder: Path) -> Found:
    hasher = PHash(verbose=False)
    codes = hasher.encode_images(image_dir=str(folder), num_enc_workers=0)
    found = hasher.find_duplicates(
        encoding_map=codes, max_distance_threshold=10, num_dist_workers=0
    )
    pairs = [
        (int(Path(name).stem), int(Path(other).stem))
        for name, others in found.items()
        for other in others
    ]
    return pairs, {}


if __name__ == "__main__":
    main("imagededup", find)
