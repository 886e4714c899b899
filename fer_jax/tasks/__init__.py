"""What is learnt: classes, action units or dimensions; their scores and reports."""
