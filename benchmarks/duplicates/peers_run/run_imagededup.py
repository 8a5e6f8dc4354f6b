"""imagededup as its documentation shows it: PHash, default distance 10, one worker."""

from pathlib import Path

from clock import Found, main
from imagededup.methods import PHash

DEFAULT = 10
NEARER = (4, 0)


def find(folder: Path) -> Found:
    hasher = PHash(verbose=False)
    codes = hasher.encode_images(image_dir=str(folder), num_enc_workers=0)
    found = hasher.find_duplicates(
        encoding_map=codes, max_distance_threshold=DEFAULT, scores=True, num_dist_workers=0
    )
    pairs = [
        (int(Path(name).stem), int(Path(other).stem), distance)
        for name, others in found.items()
        for other, distance in others
    ]
    settings = {
        f"imagededup, distance {most}": [(a, b) for a, b, distance in pairs if distance <= most]
        for most in (DEFAULT, *NEARER)
    }
    return settings, {}


if __name__ == "__main__":
    main("imagededup", find)
