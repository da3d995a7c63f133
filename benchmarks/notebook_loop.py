"""What a notebook does: a DataLoader that transforms one image at a time, and `.item()` at every step.

Usage: python benchmarks/notebook_loop.py DATA_ROOT EPOCHS [DEVICE]. Evaluates after each epoch and saves the network at
the end; prints the training seconds of each epoch as a JSON list.
"""

import json
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def main(root: str, epochs: int, device: str = "cpu") -> None:
    train, test = (datasets.MNIST(root, train=part, transform=transforms.ToTensor()) for part in (True, False))
    loader, test_loader = DataLoader(train, batch_size=128, shuffle=True), DataLoader(test, batch_size=128)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    ).to(device)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(epochs):
        seconds.append(train_epoch(model, loader, criterion, optimizer, device))
        evaluate(model, test_loader, device)
    torch.save(model.state_dict(), f"{root}/notebook.pt")
    print(json.dumps(seconds))


def train_epoch(
    model: nn.Module,
    loader: "DataLoader[torch.Tensor]",
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: str,
) -> float:
    start = time.perf_counter()
    model.train()
    loss_sum = correct = 0.0
    for host_images, host_labels in loader:
        images, labels = host_images.to(device), host_labels.to(device)
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
        correct += (outputs.argmax(1) == labels).sum().item()
    return time.perf_counter() - start


@torch.no_grad()
def evaluate(model: nn.Module, loader: "DataLoader[torch.Tensor]", device: str) -> float:
    model.eval()
    correct = sum((model(images.to(device)).argmax(1) == labels.to(device)).sum().item() for images, labels in loader)
    return correct / len(loader.dataset)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
