"""
A network that learns to write
==============================

A network reads a text character by character, and learns to predict the next one. Then it can write: draw a character
from the predicted probabilities, let the network read it, draw the next. Counts of n characters in a row can do that
too. On a text that both have not seen, which of them predicts better?
"""

# %%
# The text
# --------
#
# Every Python brings the text of its manual that ``help`` shows. Many paragraphs are in several chapters. We take each
# once, as the test text must be new. We leave out tables, and characters that are very rare. Half of the text is enough
# here.

import re
from collections import Counter, defaultdict
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNClassifier

plt.rc("font", size=13)

paragraphs = dict.fromkeys(
    part for name in sorted(topics) for part in topics[name].split("\n\n")
)
text = "\n\n".join(part for part in paragraphs if "+--" not in part)
text = re.sub(" +", " ", text)[-180_000:]
counts = Counter(text)
text = "".join(character for character in text if counts[character] >= 50)
n_train = len(text) * 9 // 10
train_text, test_text = text[:n_train], text[n_train:]
print(
    f"{len(train_text)} characters to learn from, {len(test_text)} to test; "
    f"{len(set(text))} different"
)
print(train_text[100_000:100_400])

# %%
# Sequences
# ---------
#
# We cut the training text into 32 long sequences. X has the characters, and y has the next character for each. These
# are lists of lists of strings. So each character is a category with a vector, and also a class.


def sequences_of(text, n_sequences):
    length = (len(text) - 1) // n_sequences
    starts = range(0, n_sequences * length, length)
    return [list(text[i : i + length]) for i in starts], [
        list(text[i + 1 : i + 1 + length]) for i in starts
    ]


X, y = sequences_of(train_text, 32)
print(
    f"{len(X)} sequences of {len(X[0])} characters; X[0] starts with {X[0][:4]}, y[0] "
    f"with {y[0][:4]}"
)

# %%
# All 32 sequences are one batch. ``truncation=50`` updates the weights after every 50 characters, and errors flow back
# through them. But the state continues to the end of the sequence.

network = RNNClassifier(
    (96,),
    readout="each",
    truncation=50,
    batch_size=32,
    embedding_size=16,
    learning_rate_init=0.02,
    max_iter=6,
    random_state=0,
)
network.fit(X, y)

# %%
# Perplexity
# ----------
#
# The perplexity is the exponential of the mean log loss. A perplexity of 5 means: as uncertain as a draw from 5 equally
# likely characters.


def log_losses(text):
    """Return minus the log of the probability of each character but the first."""
    (probabilities,) = network.predict_proba([list(text[:-1])])
    return -np.log(
        probabilities[
            np.arange(len(text) - 1), np.searchsorted(network.classes_, list(text[1:]))
        ]
    )


losses = log_losses(test_text)
print(
    "perplexity of the network: training text "
    f"{np.exp(log_losses(train_text).mean()):.2f}, ",
    end="",
)
print(f"test text {np.exp(losses.mean()):.2f}")

# %%
# Beside it: n-grams. The probability of a character after the n - 1 characters before it is a share of counts, mixed
# with that of the shorter n-gram, and so on. Contexts that many different characters have followed get a smaller part
# of the mixture [1]_.


def n_gram_perplexities(longest, text):
    """Return the perplexity of the text for n-grams of 1, 2, ... characters."""
    followers = [defaultdict(Counter) for _ in range(longest)]
    for n in range(longest):
        for i in range(n, len(train_text)):
            followers[n][train_text[i - n : i]][train_text[i]] += 1
    totals = [
        {context: seen.total() for context, seen in contexts.items()}
        for contexts in followers
    ]
    losses = np.zeros((longest, len(text) - longest))
    for i in range(longest, len(text)):
        probability = 1 / len(network.classes_)
        for n in range(longest):
            context = text[i - n : i]
            if context in totals[n]:
                seen = followers[n][context]
                probability = (seen[text[i]] + len(seen) * probability) / (
                    totals[n][context] + len(seen)
                )
            losses[n, i - longest] = -np.log(probability)
    return np.exp(losses.mean(axis=1))


perplexities = {
    f"{n + 1}-grams": value for n, value in enumerate(n_gram_perplexities(7, test_text))
}
perplexities["network"] = np.exp(losses.mean())
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
bars = ax.bar(
    list(perplexities), list(perplexities.values()), color=["C0"] * 7 + ["C1"]
)
ax.bar_label(bars, fmt="%.2f")
ax.set(ylabel="perplexity of the test text", ylim=(0, 30))
plt.show()

# %%
# Long contexts do not help the n-grams: most of them occur too seldom to be counted. The network had to find out by
# itself what to look at, and is as good as the best of them. But it took far longer to train. It also knows parts of
# the training text by heart: its perplexity there is much lower.
#
# Where is it uncertain?
# ----------------------
#
# The colour is minus the logarithm of the probability of each character in a passage of the test text. The beginnings
# of words cost the most, and the rest of a common word is almost free. A rare name costs the same every time: this
# network has not learned to copy names from the text before.

passage = slice(2000, 2000 + 9 * 50)
surprise = np.append(np.nan, losses)[passage] / np.log(2)
fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
image = ax.imshow(
    surprise.reshape(9, 50), aspect="auto", cmap="YlOrRd", vmin=0, vmax=12
)
for i, character in enumerate(test_text[passage]):
    ax.text(
        i % 50,
        i // 50,
        character.replace("\n", "¶"),
        ha="center",
        va="center",
        family="monospace",
        fontsize=11,
    )
ax.set_axis_off()
fig.colorbar(image, label="bits")
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# Writing
# -------
#
# ``stream(3)`` reads three sequences side by side, one character of each at a time. Each has a temperature T: we draw
# from the probabilities to the power 1 / T. A low temperature prefers the likely characters.

temperatures = np.array([0.3, 0.7, 1.0])
rng = np.random.default_rng(0)
stream = network.stream(3)
written = ["\n\nThe "] * 3
unread = [list(start) for start in written]
for _ in range(350):
    probabilities = [steps[-1].astype(float) for steps in stream.predict_proba(unread)]
    powers = [
        p ** (1 / temperature) for p, temperature in zip(probabilities, temperatures)
    ]
    unread = [[rng.choice(network.classes_, p=power / power.sum())] for power in powers]
    written = [start + character for start, (character,) in zip(written, unread)]

for temperature, result in zip(temperatures, written):
    print(f"---- temperature {temperature} ----{result}\n")

# %%
# Words are mostly right, brackets and quotes often close, and paragraphs look like those of the manual. The sense does
# not go further than a few words: at a low temperature the sentences go round in circles, and at a high one the network
# makes up words.
#
# .. rubric:: References
#
# .. [1] I. H. Witten and T. C. Bell (1991). The zero-frequency problem: estimating the probabilities of novel events in
#    adaptive text compression. IEEE Transactions on Information Theory 37, 1085-1094.
