"""What a training script imports: the run handle and its log. Standard library only."""
