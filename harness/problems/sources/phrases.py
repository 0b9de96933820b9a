"""What prompts and answers of the source ``instructions`` are made of.

No keyword stands in another one or in what answers are made of, where no sentence has a comma, a word in capital
letters, or one of the letters j, q, x and z.
"""

from __future__ import annotations

FORMS = (
    "a short story", "a blog post", "a letter", "a product description", "an announcement", "a speech", "a review",
    "a news report", "a diary entry", "an advice column", "a dialogue", "a poem", "a how-to guide", "a newsletter item",
    "an invitation", "a summary", "a radio script", "a fable", "an interview", "a job advert", "a travel tip",
    "a thank-you note", "a complaint", "a lesson plan", "a museum label", "a set of rules",
)  # fmt: skip
TOPICS = (
    "a lost umbrella", "the first snow of the year", "a new bakery in town", "a broken bicycle", "learning to swim",
    "a night train", "keeping bees", "an old map", "a school garden", "mending clothes", "a power cut", "a chess club",
    "a street market", "growing tomatoes", "a stray cat", "a long bus ride", "a village choir", "a rainy picnic",
    "sharing tools", "a second-hand piano", "a mountain hut", "saving water", "a robot vacuum cleaner", "a paper boat",
    "a noisy neighbour", "the price of bread", "a library card", "a forgotten birthday", "working from home",
    "a desert road", "a puppet theatre", "moving to an island", "a local election", "a football match",
    "baking without eggs", "a homemade telescope", "a flea market find", "an early morning run", "a postcard",
    "a leaking roof", "a night at the observatory", "a family recipe", "learning to whistle", "a wooden bridge",
    "a tram strike", "raising chickens", "a photo album", "a summer job", "sorting rubbish", "a sailing lesson",
)  # fmt: skip
READERS = (
    "for children", "for a busy manager", "for people who have just moved", "for your neighbours",
    "for a class of beginners", "for a local paper", "for your future self", "for visitors from abroad",
    "for an old friend", "for a team of volunteers", "for someone in a hurry", "for a sceptical reader",
    "for a company website", "for your grandmother", "for a youth club", "for the town council",
)  # fmt: skip
QUESTIONS = (
    "Would {} make a good subject for a film?", "Is {} something that a ten-year-old would enjoy hearing about?",
    "Could a whole evening be spent talking about {}?", "Does {} belong in a book about everyday life?",
)  # fmt: skip
KEYWORDS = (
    "harbour", "lantern", "marble", "copper", "velvet", "thunder", "pepper", "saddle", "canyon", "meadow", "ribbon",
    "walnut", "anchor", "bucket", "candle", "dragon", "feather", "glacier", "helmet", "kettle", "ladder", "magnet",
    "needle", "orchard", "pillow", "rocket", "shovel", "teapot", "valley", "window", "basket", "cactus", "dolphin",
    "engine", "falcon", "guitar", "hammer", "insect", "lemon", "mirror", "nugget", "oyster", "parrot", "radish",
    "spiral", "turtle", "violin", "wagon", "acorn", "bamboo", "cherry", "dagger",
)  # fmt: skip
ENDINGS = (
    "That is everything.", "Thank you for reading this far.", "More of this tomorrow.", "This is where it ends.",
    "Now it is your turn.", "Over to you.",
)  # fmt: skip
FILLER = (
    "Here is what was asked for.", "It is about something that people know well.",
    "The main point comes first and the details follow.", "Every part of it is easy to understand.",
    "There is a little more to say about this.", "Nobody has to know anything before.",
    "Some of it may come as a surprise.", "The rest is told in the same simple way.",
)  # fmt: skip
# code: name, a text in the language.
LANGUAGES = {
    "de": (
        "German",
        "Hier steht ein kurzer Text über ein bekanntes Thema. Er ist leicht zu lesen und schnell erzählt.",
    ),
    "es": ("Spanish", "Este es un texto breve sobre un tema muy conocido. Es fácil de leer y se cuenta rápidamente."),
    "fi": ("Finnish", "Tämä on lyhyt teksti tutusta aiheesta. Se on helppo lukea ja nopea kertoa."),
    "fr": ("French", "Voici un court texte sur un sujet bien connu. Il est facile à lire et vite raconté."),
    "hi": ("Hindi", "यह एक जाने पहचाने विषय पर एक छोटा लेख है। इसे पढ़ना बहुत आसान है।"),
    "it": (
        "Italian",
        "Questo è un breve testo su un argomento conosciuto. È facile da leggere e si racconta in fretta.",
    ),
    "ko": ("Korean", "이것은 잘 알려진 주제에 관한 짧은 글입니다. 읽기 쉽고 금방 이야기할 수 있습니다."),
    "pl": ("Polish", "To jest krótki tekst na dobrze znany temat. Łatwo go przeczytać i szybko opowiedzieć."),
    "pt": ("Portuguese", "Este é um texto curto sobre um assunto conhecido. Não é difícil de ler e conta-se depressa."),
    "ru": ("Russian", "Это короткий текст на известную тему. Его легко читать и быстро пересказать."),
}

# By kind of instruction, ways to ask for it.
TEXTS = {
    "change_case:capital_word_frequency": (
        "Use {capital_relation} {capital_frequency} words that are written wholly in capitals.",
        "The number of words in all capitals must be {capital_relation} {capital_frequency}.",
    ),
    "change_case:english_capital": (
        "Answer in English and use capital letters only.", "All of it must be in English and in upper case.",
    ),
    "change_case:english_lowercase": (
        "Answer in English and use no capital letter at all.", "All of it must be in English and in lower case.",
    ),
    "combination:repeat_prompt": (
        "Before the answer itself write out everything above this sentence once more exactly as it stands there.",
        "Begin with an exact copy of the text above this sentence and then answer it.",
    ),
    "combination:two_responses": (
        "Give two versions that differ and put ****** between them and nowhere else.",
        "I need two different answers with a line of six asterisks (******) between them.",
    ),
    "detectable_content:number_placeholders": (
        "Leave {num_placeholders} or more gaps to fill in and write each in square brackets like [name].",
        "It is a template with no fewer than {num_placeholders} placeholders such as [date].",
    ),
    "detectable_content:postscript": (
        "Close with a postscript that begins with {postscript_marker}",
        "After the text comes a postscript marked {postscript_marker}",
    ),
    "detectable_format:constrained_response": (
        'Reply with one of these: "My answer is yes." or "My answer is no." or "My answer is maybe."',
        'Only three replies are allowed: "My answer is yes." or "My answer is no." or "My answer is maybe."',
    ),
    "detectable_format:json_format": (
        "Return nothing but valid JSON.", "The whole reply has to be a JSON object.",
    ),
    "detectable_format:multiple_sections": (
        "Divide it into {num_sections} sections and head them {section_spliter} 1 and {section_spliter} 2 and so on.",
        "It has {num_sections} parts; each begins with the word {section_spliter} and its number.",
    ),
    "detectable_format:number_bullet_lists": (
        "Include a list of exactly {num_bullets} Markdown bullets (lines that start with * or -).",
        "The number of bullet points (lines like * this one) must be {num_bullets}.",
    ),
    "detectable_format:number_highlighted_sections": (
        "Set {num_highlights} or more passages in *italics* with asterisks as in Markdown.",
        "Emphasise no fewer than {num_highlights} passages *like this*.",
    ),
    "detectable_format:title": (
        "Give it a title in double angle brackets like <<this>>.", "A title wrapped in << and >> is required.",
    ),
    "keywords:existence": (
        "Work in these words: {keywords}.", "The text has to mention {keywords}.",
    ),
    "keywords:forbidden_words": (
        "Avoid these words: {forbidden_words}.", "The text must get by without {forbidden_words}.",
    ),
    "keywords:frequency": (
        "Use the word {keyword} {relation} {frequency} times.",
        "Let {keyword} come up {relation} {frequency} times.",
    ),
    "keywords:letter_frequency": (
        "Count your letters: {letter} must be there {let_relation} {let_frequency} times.",
        "Use the letter {letter} {let_relation} {let_frequency} times.",
    ),
    "language:response_language": (
        "Reply in {language} and in no other language.", "Every sentence of the reply has to be {language}.",
    ),
    "length_constraints:nth_paragraph_first_word": (
        "Write {num_paragraphs} paragraphs with one blank line between them; number {nth_paragraph} begins with the "
        "word {first_word}.",
        "Blank lines divide it into {num_paragraphs} paragraphs. The first word of paragraph {nth_paragraph} is "
        "{first_word}.",
    ),
    "length_constraints:number_paragraphs": (
        "Write {num_paragraphs} paragraphs and put *** between each two of them.",
        "Divide the text by *** into exactly {num_paragraphs} paragraphs.",
    ),
    "length_constraints:number_sentences": (
        "The number of sentences must be {relation} {num_sentences}.", "Use {relation} {num_sentences} sentences.",
    ),
    "length_constraints:number_words": (
        "The length must be {relation} {num_words} words.", "Write {relation} {num_words} words.",
    ),
    "punctuation:no_comma": (
        "Do without commas.", "There must not be a single comma in it.",
    ),
    "startend:end_checker": (
        'The very last words must be: "{end_phrase}"', 'Finish with "{end_phrase}" and add nothing after it.',
    ),
    "startend:quotation": (
        "Enclose all of it in double quotation marks.", 'The first and the last character must be ".',
    ),
}  # fmt: skip
