"""``RUN/lineage.json``: what the run's model is trained on, by this run and by those before it."""

from __future__ import annotations

from pathlib import Path

from cauldron.training.config import TrainConfig

from cauldron.core import storage
from cauldron.core.output.mixture import Mixture
from cauldron.core.output.runs import LINEAGE, Lineage, Training, base_lineage, whole_path


def write_lineage(config: TrainConfig, mixture: Mixture, resumes: bool) -> None:
    """Write it when a run begins; the model that it starts from may be trained anew later.

    Args:
        resumes: the run has a checkpoint; a lineage that is there stays.

    Raises:
        CauldronError: the lineage of the model that it starts from is damaged.
    """
    path = Path(config.output) / LINEAGE
    if not (resumes and path.exists()):
        storage.write_json(str(path), _lineage(config, mixture).model_dump(mode="json"))


def _lineage(config: TrainConfig, mixture: Mixture) -> Lineage:
    training = Training(
        stage=config.stage,
        mixture=whole_path(mixture.folder),
        fingerprint=mixture.manifest.fingerprint,
        only=config.only,
        exclude=config.exclude,
    )
    return base_lineage(config.train.model.name).and_then(training)
