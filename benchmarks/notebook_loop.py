"""What a notebook does: a DataLoader that transforms one image at a time, and `.item()` at every step.

Usage: python benchmarks/notebook_loop.py DATA_ROOT EPOCHS. Prints the training seconds of each epoch as a JSON list.
"""

import json
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def main(root: str, epochs: int) -> None:
    train = datasets.MNIST(root, train=True, transform=transforms.ToTensor())
    loader = DataLoader(train, batch_size=128, shuffle=True)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
    print(json.dumps([train_epoch(model, loader, criterion, optimizer) for _ in range(epochs)]))


def train_epoch(
    model: nn.Module, loader: "DataLoader[torch.Tensor]", criterion: nn.Module, optimizer: torch.optim.Optimizer
) -> float:
    start = time.perf_counter()
    loss_sum = correct = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
        correct += (outputs.argmax(1) == labels).sum().item()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
