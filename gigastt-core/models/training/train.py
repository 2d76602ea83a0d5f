"""Trains the embedded model: `train.py --folder FOLDER [--steps N] [--ranks N] [--stop-after N]`.

Everything follows from the plan and the step's number, so a run that was stopped goes on as if it had not been. Of
the plan only `steps` may be changed while the rate is still constant: the decay at the end then starts elsewhere.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as distributed
import torch.nn.functional as F

import batches
from network import Size, Transducer, frames_after
from transducer_loss import transducer_loss


class Plan:
    def __init__(self, arguments):
        self.steps, self.seed, self.batch_s = arguments.steps, arguments.seed, arguments.batch_s
        self.rate, self.warm_up, self.decay = 2e-3, min(200, arguments.steps // 8), 0.3
        self.aligned = min(600, arguments.steps // 3)
        self.transducer_from = min(250, arguments.steps // 4)
        self.windows_from = 0.7
        self.festival, self.festival_share = arguments.festival, 0.15
        self.size = Size(width=arguments.width, layers=arguments.layers)

    def rate_at(self, step):
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        left = (self.steps - step) / (self.steps * self.decay)
        return self.rate * max(0.01, min(1.0, left))

    def weights_at(self, step):
        """Of the frame cross-entropy, of CTC and of the transducer."""
        frame = max(0.2, 1 - step / self.aligned)
        return frame, (0.1 if step >= self.transducer_from else 0.0), float(step >= self.transducer_from)


def encode_windows(encoder, features, lengths, step, left=128, right=32, center=128):
    """Encodes overlapping windows and joins their centres, as live recognition does. Sizes in frames of 10 ms."""
    center = [64, 128, 192][step % 3]
    left = [128, 256][step // 3 % 2]
    pieces, sizes, cuts = [], [], []
    total = features.shape[2]
    for start in range(0, total, center):
        first, end = max(0, start - left), min(total, start + center + right)
        pieces.append(F.pad(features[:, :, first:end], (0, left + center + right - (end - first))))
        sizes.append((lengths.clamp(max=end) - first).clamp(min=1))
        cuts.append(((start - first) // 4, center // 4))
    encoded, _ = encoder(torch.cat(pieces), torch.cat(sizes))
    rows = encoded.split(features.shape[0])
    joined = torch.cat([row[:, at : at + count] for row, (at, count) in zip(rows, cuts)], 1)
    frames = frames_after(lengths)
    return joined[:, : int(frames.max())], frames


def losses(model, batch, plan, step):
    """The weighted loss of a batch in nats per token, and its parts."""
    frame_weight, ctc_weight, transducer_weight = plan.weights_at(step)
    targets = batch.targets
    windowed = step >= plan.windows_from * plan.steps and step % 5 < 2
    if windowed:
        encoded, frames = encode_windows(model.encoder, batch.features, batch.lengths, step)
    else:
        encoded, frames = model.encoder(batch.features, batch.lengths)
    counts = frames.tolist()
    scores = model.ctc(encoded).log_softmax(-1)
    tokens = float(batch.counts.sum())
    inside = torch.arange(targets.shape[1], device=targets.device)[None] < frames[:, None]
    weight = torch.where(targets == model.blank, 0.3, 1.0) * inside
    frame = (F.nll_loss(scores.transpose(1, 2), targets, reduction="none") * weight).sum() / weight.sum()
    parts = {"frame": float(frame.detach())}
    total = frame_weight * frame
    if ctc_weight:
        ctc = F.ctc_loss(scores.transpose(0, 1), batch.tokens, frames, batch.counts, model.blank, "sum", True) / tokens
        parts["ctc"] = float(ctc.detach())
        total = total + ctc_weight * ctc
    if transducer_weight:
        transducer = transducer_loss(model, encoded, counts, batch.tokens, batch.marks).sum() / tokens
        parts["transducer"] = float(transducer.detach())
        total = total + transducer_weight * transducer
    return total, parts


def share(model, ranks):
    """The mean of the gradients of all processes."""
    if ranks == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= ranks
    for parameter, piece in zip(model.parameters(), flat.split([g.numel() for g in gradients])):
        parameter.grad = piece.view_as(parameter)


def save(path, model, optimizer, step, plan):
    """By a temporary file and a rename: a stop while writing leaves the checkpoint before."""
    temporary = path.with_suffix(".writing")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "size": vars(plan.size)}
    torch.save(state, temporary)
    os.replace(temporary, path)


def run(rank, arguments):
    torch.set_num_threads(1)
    plan, folder = Plan(arguments), Path(arguments.folder)
    if arguments.ranks > 1:
        where = f"file://{arguments.rendezvous}"
        distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=arguments.ranks)
    torch.manual_seed(plan.seed)
    device = torch.device(arguments.device)
    torch.backends.cuda.matmul.allow_tf32 = True
    model = Transducer(plan.size, len(batches.VOCABULARY)).to(device)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    newest, step = folder / "checkpoint.pt", 0
    if newest.exists():
        state = torch.load(newest, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    if arguments.workers:
        source = batches.Ahead(folder, plan, arguments.workers)
    else:
        source = batches.Source(folder, plan, rank, arguments.ranks)
    stop, began, heard = min(plan.steps, arguments.stop_after or plan.steps), time.process_time(), 0.0
    sums, count = {}, 0
    log = open(folder / "log.jsonl", "a") if rank == 0 else None
    while step < stop:
        batch = source.at(step).on(device)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate_at(step)
        optimizer.zero_grad(set_to_none=True)
        total, parts = losses(model, batch, plan, step)
        total.backward()
        share(model, arguments.ranks)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        if not math.isfinite(float(norm)):
            raise SystemExit(f"step {step}: the gradient is not finite")
        optimizer.step()
        step += 1
        heard += float(batch.lengths.sum()) / 100
        count += 1
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        if rank == 0 and (step % arguments.log_every == 0 or step == stop):
            line = {"step": step, **{k: round(v / count, 4) for k, v in sums.items()}, "rate": round(plan.rate_at(step), 6)}
            line |= {"heard_s": round(heard), "cpu_s": round(time.process_time() - began), "clock": time.strftime("%H:%M:%S")}
            print(json.dumps(line), file=log, flush=True)
            print(json.dumps(line), flush=True)
            sums, count = {}, 0
        if rank == 0 and (step % arguments.save_every == 0 or step == stop):
            save(newest, model, optimizer, step, plan)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True, help="for checkpoints, the log and espeak's data")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--stop-after", type=int, help="step to stop at, to go on later")
    parser.add_argument("--ranks", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--device", default="cpu", help="where the network is, for instance cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that make what is heard; with one rank")
    parser.add_argument("--batch-s", type=float, default=60, help="seconds of speech in a batch of a process")
    parser.add_argument("--festival", type=int, default=2_000, help="sentences that festival speaks; 0: it is not heard")
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--rank", type=int, help="this process's own number; without it all are started")
    parser.add_argument("--rendezvous", help="the file by which the processes find each other")
    arguments = parser.parse_args()
    Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    if arguments.workers and arguments.ranks > 1:
        parser.error("--workers needs --ranks 1")
    if arguments.ranks == 1:
        return run(0, arguments)
    if arguments.rank is not None:
        return run(arguments.rank, arguments)
    with tempfile.TemporaryDirectory() as meeting:
        command = [sys.executable, *sys.argv, "--rendezvous", f"{meeting}/file", "--rank"]
        return max(p.wait() for p in [subprocess.Popen([*command, str(rank)]) for rank in range(arguments.ranks)])


if __name__ == "__main__":
    sys.exit(main())
