"""Write each epoch and batch of a training as TensorBoard logs, with a callback of fifteen lines.

Needs the package tensorboardX, or PyTorch with tensorboard; without either the same numbers go to a
CSV file only. Then look at them with

    python examples/tensorboard_log.py            # with --quick one epoch: only a test
    tensorboard --logdir output/log
"""

import sys
from pathlib import Path

from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import (
    Adam,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.core.drawing import mark_quick_runs
from neurosnn.training.callbacks import Callback

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

# %%
# The callback
# ------------
# It is told of the end of each batch and of each epoch.


class TensorBoard(Callback):
    """Writes the loss of each update, and each row of the history."""

    def __init__(self, writer):
        self.writer = writer

    def batch_end(self, trainer, result):
        for name, value in result.items():
            self.writer.add_scalar(f"batch/{name}", value, trainer.updates)

    def epoch_end(self, trainer, row):
        for name, value in row.items():
            self.writer.add_scalar(f"epoch/{name}", value, trainer.epoch)
        self.writer.flush()


# %%
# Where to write
# --------------


def make_writer(folder):
    """A writer of TensorBoard logs, or None."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
    return SummaryWriter(str(folder))


# %%
# A training
# ----------

train, test = data.spoken_digits(n_bands=16, n_thresholds=2)
net = SpikingNetwork(
    Input(train.n_channels), Layer(equations.LIF(), 32), Readout(10, tau=20 * ms), dt=1 * ms
)
trainer = Trainer(net, EProp(), optimizer=Adam(3e-3))
writer = make_writer(output / "log")
callbacks = [] if writer is None else [TensorBoard(writer)]
trials = train[::10] if quick else train
history = trainer.fit(trials, epochs=1 if quick else 8, validation=0.1, callbacks=callbacks)
if writer is None:
    print("no tensorboardX, no torch with tensorboard: pip install tensorboardX")
else:
    writer.close()
history.to_csv(output / "history.csv")

# %%
# The same numbers without TensorBoard
# ------------------------------------

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
analysis.plot_learning_curve(history, ax=ax)
figure.savefig(output / "learning_curve.png", dpi=120)
print(trainer.confusion(test).table())
