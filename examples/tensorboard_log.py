"""Write each epoch and batch of a training as TensorBoard logs, with a callback of fifteen lines.

Needs the package tensorboardX, or PyTorch with tensorboard; without either the same numbers go to a
CSV file. Then look at them with

    python examples/tensorboard_log.py
    tensorboard --logdir output/log
"""

import argparse
from pathlib import Path

from brian2 import ms

from neurosnn import Adam, EProp, Input, Layer, Readout, SpikingNetwork, Trainer, data, equations
from neurosnn.training.callbacks import Callback


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one epoch: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the logs")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    train, test = data.spoken_digits(n_bands=16, n_thresholds=2)
    net = SpikingNetwork(
        Input(train.n_channels), Layer(equations.LIF(), 32), Readout(10, tau=20 * ms), dt=1 * ms
    )
    trainer = Trainer(net, EProp(), optimizer=Adam(3e-3))
    writer = make_writer(options.output / "log")
    callbacks = [] if writer is None else [TensorBoard(writer)]
    trials = train[::10] if options.quick else train
    history = trainer.fit(
        trials, epochs=1 if options.quick else 8, validation=0.1, callbacks=callbacks
    )
    if writer is None:
        print("no tensorboardX, no torch with tensorboard: pip install tensorboardX")
    else:
        writer.close()
    history.to_csv(options.output / "history.csv")
    print(trainer.confusion(test).table())


if __name__ == "__main__":
    main()
