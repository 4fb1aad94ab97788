"""Requests for JSON, and sentences about people, products, events, pets, books and orders."""

from ..wording import expanded, words

MACROS = {
    "do": "(||||please |can you |could you |can you please |could you please |would you |I want you to |kindly )",
    "json": "(JSON|JSON|JSON|a JSON object|json)",
    "this": "(this|this|this text|this sentence|the following|the following text|the text|the sentence|this line)",
}

# Requests that leave the fields to the text.
WHOLE = expanded(
    MACROS,
    "<do>(turn|convert|change|make|transform|translate) <this> (in|)to <json>: {text}",
    "<do>extract (the |)(JSON|data|facts|fields|details|information)( as JSON| in JSON| into JSON): {text}",
    "<do>extract (JSON|the JSON|a JSON object) from <this>: {text}",
    "<do>(write|give me|return|output|produce|make|create|generate|build) <json> (from|for|out of) <this>: {text}",
    "<do>(write|give me|return|output|put|show) <this> (as|in) <json>: {text}",
    "<do>(make|give me|write|create) <json> from: {text}",
    "<do>(parse|parse into JSON|parse to JSON|parse as JSON): {text}",
    "<do>parse <this>( into JSON| as JSON|): {text}",
    (
        "(JSON|json|as JSON|to JSON|in JSON|into JSON|JSON for|make JSON|extract JSON|get JSON|JSON from|JSON"
        " of)(, please| please|): {text}"
    ),
    "{text} (as JSON|in JSON|to JSON|into JSON|JSON)( please|, please|)",
    "{text} (give me JSON|make that JSON|put that in JSON|write it as JSON|turn it into JSON|return JSON|JSON please)",
    "{text} <do>(turn|convert|make|parse|put) (this|that|it) into JSON",
    "{text} (what is|how is) (this|that) (in|as) JSON",
    "what is <this> (in|as) <json>: {text}",
    "what does <this> look like (in|as) JSON: {text}",
    "(read|look at) <this> and (write|give me|return|answer with|reply with) <json>: {text}",
    "I need (this|the following|the facts|the data) (as|in) <json>: {text}",
    "(here is|this is) (a|some) (text|sentence|note). (turn it into|convert it to|extract|write it as) JSON. {text}",
    "<do>(structure|format|encode|serialize|save|store) <this> as <json>: {text}",
    "<do>(pull out|get|find|list|collect|note) the (facts|data|fields|details|information)( as JSON| in JSON): {text}",
    "(text|sentence|input): {text} JSON:",
    "text to JSON: {text}",
    "(make|create) a record from <this>: {text}",
    "(answer|reply|respond) (in|with) JSON( only|): {text}",
    "(a|one) JSON object( please|) for: {text}",
    "<do>(fill in|complete) a JSON object (from|with|for): {text}",
)
# Requests that name the fields.
NAMED = expanded(
    MACROS,
    "<do>(give me|return|write|extract|output|get|show|find|pull out|tell me) the {fields} (as|in) <json>: {text}",
    "<do>(give me|return|write|extract|get|find) the {fields} (from|in|of) <this> (as|in) <json>: {text}",
    "<do>(write|make|create|return|give me) <json> with (the |){fields}: {text}",
    "<do>extract( the|) {fields}: {text}",
    "<do>(turn|convert|parse) <this> into <json> with (the |){fields}: {text}",
    "{fields} (as|in) JSON( please|, please|): {text}",
    "JSON with( the|) {fields}( please|, please|): {text}",
    "{text} (give me|return|extract|write|get) the {fields} (as|in) JSON",
    "{text} what is the {fields}, in JSON",
    "{text} {fields} as JSON( please|, please|)",
    "{text} JSON with {fields}( please|, please|)",
    "(find|read|get) {fields} and (answer|reply) (in|with) JSON: {text}",
    "I need the {fields} (as|in) JSON: {text}",
    "I only (need|want) the {fields} (as|in) JSON: {text}",
    "(only|just) the {fields}, as JSON: {text}",
    "what is the {fields} (here|in this text|in this sentence), as JSON: {text}",
    "(keys|fields): {fields}. text: {text}",
    "JSON keys: {fields}. {text}",
    "(fill|complete) the fields {fields} (from|with): {text}",
)

# `{He}` and `{his}` agree with the name; `{a_job}` and `{a_age}` have their article.
PEOPLE = (
    "{name} is {age} years old and lives in {city}.",
    "{name} lives in {city}. {He} is {age}( years old|).",
    "{name}, {age}, lives in {city}.",
    "{name} is {age}.",
    "{name} is {age} and (comes from|is from|lives in) {city}.",
    (
        "{name} (comes from|is from|was born in|grew up in|moved to|has a flat in|has a house in) {city} and is"
        " {age}( years old|)."
    ),
    "I am {name}, {age}, from {city}.",
    "I'm {name}, {age}, from {city}.",
    "I am {name}. I am {age}( years old|) and I live in {city}.",
    "I'm {name} and I'm {age}.",
    "(Hi, |Hello, |Hey, |)my name is {name}( and|,) I am {age}( years old|).",
    "(Hi, |Hello, |)my name is {name}, I am {age}, I live in {city} and (I |)work as {a_job}.",
    "My name is {name}. I am {a_job} (in|from) {city}.",
    "My name is {name} and I live in {city}.",
    "My name is {name}. I'm {age}. I live in {city}. I'm {a_job}.",
    "I am {a_job}, my name is {name} and I am {age}.",
    "They call me {name}. I am {age} and I work as {a_job}.",
    "Meet {name}, {a_age} year old {job} from {city}.",
    "Meet {name}, who is {age} and works as {a_job}.",
    "Meet {name} from {city}, {a_job} (of|aged) {age}.",
    "This is {name}, {age}, {a_job} (from|in) {city}.",
    "This is {name}. {He} is {a_job} and lives in {city}.",
    "(Our|The|My) new {job} is {name} from {city}.",
    "(Our|The|My) {job}, {name}, is {age}( years old|).",
    "(Our|The) new colleague {name} is {age} and comes from {city}.",
    "(My|Her|His) (friend|neighbour|cousin) {name} is {a_job} in {city}.",
    "(My|Her|His) (friend|neighbour|cousin) {name}, {age}, works as {a_job}.",
    "My (friend|neighbour|cousin) {name} lives in {city} and is {age}.",
    "{name} works as {a_job}. {He} is {age} years old.",
    "{name} works as {a_job} in {city}.",
    "{name} is {a_job}. {He} lives in {city} and is {age}.",
    "{name}, who is {age}, (works as|is) {a_job}.",
    "{name}, who lives in {city}, is {age}( years old|).",
    "{name}, {a_job} from {city}, is {age}( years old|).",
    "{name}, {a_job}, lives in {city}.",
    "{name} - {age} - is {a_job} in {city}.",
    "{name}, {age} years old, {job}, {city}.",
    "{name}, {age}, {city}, {job}.",
    "{name}, {job}, {age}.",
    "{name} / {age} / {city}.",
    "Name: {name}. Age: {age}. City: {city}. Job: {job}.",
    "Name: {name}, age: {age}, city: {city}.",
    "Name {name}, job {job}, city {city}.",
    "At (the age of |){age}, {name} (works as {a_job}|moved to {city}|became {a_job}).",
    "At {age} {name} became {a_job} in {city}.",
    "In {city}( there|) lives {a_job} (called|named) {name}.",
    "In {city} there is {a_job} (called|named) {name}, aged {age}.",
    "There is {a_age} year old {job} in {city} (called|named) {name}.",
    "There was {a_job} in {city} whose name was {name}.",
    "A {job} (called|named) {name} lives in {city}.",
    "{a_age}-year-old {job} from {city} is called {name}.",
    "The {job} {name} is {age}( years old|) and lives in {city}.",
    "The {job} {name} (lives|works|stays) in {city}.",
    "{age}-year-old {name} (lives in|comes from|moved to) {city}.",
    "{age}-year-old {name} works as {a_job} in {city}.",
    "{name} was {age} when {he} (moved to|came to|went to) {city}.",
    "{name} was {age} when {he} became {a_job}.",
    "{name} was {a_job} in {city}.",
    "{name} was {a_job} and died at {age}.",
    "{name} turned {age} (today|yesterday|last week|in May|on Sunday). {He} lives in {city}.",
    "{name} (has turned|has just turned|just turned) {age} and works as {a_job}.",
    "Yesterday {name} from {city} turned {age}.",
    "After school {name} became {a_job} in {city}.",
    "When {he} was {age}, {name} became {a_job}.",
    "Because {he} is {a_job}, {name} moved to {city}.",
    "Although {he} is {age}, {name} still works as {a_job}.",
    "(We|They) (hired|met|visited|called) {name}, {a_job} from {city}.",
    "(We|They|I) (met|saw|know) {name}, {age}, in {city}.",
    "(We|They) know {name} from {city}; {he} is {age}.",
    "{name} has lived in {city} (for years|since May|for a long time) and works as {a_job}.",
    "{name} has been {a_job} in {city} (for years|for a long time).",
    "{name} from {city} works as {a_job}.",
    "{name} from {city} is {a_job} and {age} years old.",
    "(Dear team, |Good news: |Please note: ){name}, {age}, starts as {a_job} (today|on Monday|next week).",
    "In {city}, {name} works as {a_job}. {He} is {age}.",
    "The name is {name}, the city is {city} and the age is {age}.",
    "{his} name is {name}, {he} is {age} and {he} lives in {city}.",
    "{his} name is {name}. {He} is {a_job} from {city}.",
    "{He} is called {name}, {he} works as {a_job} and {he} is {age}.",
    "{He} is {age}, {he} is {a_job}, and {his} name is {name}.",
    "{name} likes {his} job as {a_job} in {city}.",
    "{name} is only {age} but already {a_job}.",
    "{name} wants to stay in {city}, where {he} is {a_job}.",
    "It is {name} who lives in {city} and works as {a_job}.",
    "{name} (earns|makes) {his} living as {a_job} in {city}.",
    "Everyone in {city} knows {name}, the {job}.",
    "{name} left {city} at {age}.",
    "{city} is the home of {name}, {a_job}.",
    "{city} is where {name} lives; {he} is {age}.",
)
PRODUCTS = (
    "(The|A|This|One|That) {item} costs {price} (dollars|euros|pounds).",
    "(The|A|This) {item} is ${price}.",
    "(The|A|This) {item} costs ${price}.",
    "You can buy (the|a|this) {item} for {price} (dollars|euros).",
    "I (bought|got|sold|found) (a|the|this) {item} for {price} (dollars|euros|pounds).",
    "I paid {price} (dollars|euros) for (the|a|this|my) {item}.",
    "The price of (the|a|this) {item} is {price} (dollars|euros).",
    "For {price} (dollars|euros) you get (a|one|this) {item}.",
    "For sale: {item}, {price} (dollars|euros).",
    "{item}: ${price}",
    "{item} - {price} euros",
    "Item: {item}. Price: {price}.",
    "{name} (bought|sold|paid for) a {item} (for|at) {price} (dollars|euros).",
    "{name} spent {price} (dollars|euros) on a {item}.",
    "The shop sells (the|a) {item} for {price} (dollars|euros).",
    "In the shop (the|a) {item} costs {price} (dollars|euros|pounds).",
    "We sell (this|the|one) {item} for ${price}.",
    "That {item} was {price} (dollars|euros), and I liked it.",
    "How much is the {item}? It is {price} (dollars|euros).",
    "A good {item} is {price} (dollars|euros) here.",
    "Buy a {item} now! Only {price} (dollars|euros).",
)
EVENTS = (
    "The {event} is on {day} at {time}.",
    "The {event} (starts|begins|takes place) on {day} at {time}.",
    "The {event} (starts|begins) at {time} on {day}.",
    "On {day} at {time} (there is a|we have a|you have a|comes the) {event}.",
    "On {day} there is a {event} at {time}.",
    "There is a {event} on {day} at {time}.",
    "(We have|I have|You have) a {event} on {day} at {time}.",
    "Come to the {event} on {day} at {time}.",
    "Please come to (my|our|the) {event} on {day}. It starts at {time}.",
    "Do not forget the {event} on {day} at {time}.",
    "(Do not|Don't) be late: the {event} on {day} starts at {time}.",
    "(Our|My|The) {event} was moved to {day}, {time}.",
    "(Our|My|The next) {event} will be on {day} at {time}.",
    "{event}: {day}, {time}",
    "{event} on {day} at {time}",
    "Event: {event}. Day: {day}. Time: {time}.",
    "{name} (will go to|goes to|plans) a {event} on {day} at {time}.",
    "{name} invites you to a {event} on {day} at {time}.",
    "See you at the {event} on {day} at {time}!",
    "{day}, {time}: {event}.",
    "It is at {time} on {day} that the {event} starts.",
    "Remind me of the {event} on {day} at {time}.",
)
PETS = (
    "{name} is {a_age} year old {animal}.",
    "{name} the {animal} is {age}( years old|).",
    "(My|Our|Her|His) {animal} is called {name} and is {age}( years old|).",
    "(My|Our|Her|His) {animal} {name} is {age}( years old|).",
    "I have a {animal}. Its name is {name} and it is {age}( years old|).",
    "(I|We) have {a_age} year old {animal} (called|named) {name}.",
    "This is {name}, (my|our) {animal}. It is {age}( years old|).",
    "This is (my|our) {animal} {name}, {age} years old.",
    "The {animal} (called|named) {name} is {age}( years old|).",
    "A {animal} named {name}, {age} years old, lives with us.",
    "{name} is (my|our) {animal} and {age} years old.",
    "Meet {name}, a {animal} of {age} years.",
    "{name}, {animal}, {age}.",
    "At {age}, {name} is (an old|a happy|a small|a big) {animal}.",
    "We got a {animal} {age} years ago and called it {name}. It is {age}.",
    "Pet: {name}. Animal: {animal}. Age: {age}.",
    "We call (the|our|my) {animal} {name}. It is {age}( years old|).",
    "They have a {animal}, {name}, which is {age}( years old|).",
    "{name} turned {age} today and is a very good {animal}.",
)
BOOKS = (
    '"{title}" was written by {author} in {year}.',
    '"{title}" is a book by {author} from {year}.',
    "{title}, by {author}, came out in {year}.",
    "{title} by {author} - {year}",
    "{author} wrote {title} in {year}.",
    "In {year}, {author} wrote {title}.",
    "In {year} {author} published {title}.",
    "The book {title} by {author} was (published|printed) in {year}.",
    "The book is called {title}. {author} wrote it in {year}.",
    "I am reading {title}, which {author} wrote in {year}.",
    "{author} is the author of {title}, published in {year}.",
    "(My favourite book is|I like|I love|I read) {title} by {author}, from {year}.",
    "{author}: {title}, {year}.",
    "{author}, {title}, {year}",
    "Title: {title}. Author: {author}. Year: {year}.",
    "First printed in {year}, {title} is a book by {author}.",
    "{title} came out in {year}. The author is {author}.",
    "It was {author} who wrote {title} in {year}.",
)
ORDERS = (
    "I would like {count} {item}( please|, please|).",
    "I'd like {count} {item}( please|, please|).",
    "{count} {item}( please|, please|).",
    "(Can|Could|May) I (have|get) {count} {item}( please|)?",
    "(We|I) need {count} {item}.",
    "(We|I) want to (order|buy) {count} {item}.",
    "(We|I) (order|take|want) {count} {item}.",
    "Please (send|bring|give|sell) (me|us) {count} {item}.",
    "{name} (ordered|orders|wants|bought|needs) {count} {item}.",
    "An order of {count} {item} came in.",
    "(Order|Please order|Buy|Add|Put down) {count} {item}.",
    "Send {count} {item} to {name}.",
    "The order is: {count} {item}.",
    "The customer wants {count} {item}.",
    "{item}: {count}",
    "{item} x {count}",
    "Item: {item}. Count: {count}.",
    "For me {count} {item}, please.",
    "Bring {count} {item} to the table by the window.",
    "How about {count} {item} for {name}?",
)
GOODS = words(
    """
    lamp chair table sofa bed desk shelf clock mirror carpet pillow blanket candle vase kettle toaster fridge knife
    pan pot plate cup bowl spoon bottle basket bag backpack suitcase wallet belt hat cap scarf coat jacket shirt dress
    skirt sweater sock shoe boot bicycle scooter skateboard helmet ball racket kite drum guitar piano violin flute
    trumpet camera phone laptop tablet keyboard mouse printer radio television book notebook pen pencil brush hammer saw
    drill ladder bucket broom tent torch watch ring necklace toy doll puzzle robot ticket
    """
)
ORDERED = words(
    """
    pizzas burgers sandwiches salads soups coffees teas juices cakes muffins cookies apples pears oranges bananas lemons
    melons onions carrots potatoes tomatoes eggs rolls bagels donuts pancakes waffles tacos steaks noodles books pens
    pencils chairs tables lamps plates cups spoons forks knives towels blankets pillows candles roses tulips tickets
    shirts hats socks shoes boxes bottles bags bricks nails screws tiles batteries stamps envelopes balloons
    """
)
HAPPENINGS = (
    *("concert", "meeting", "party", "picnic", "lesson", "match", "race", "dinner", "lunch", "wedding", "festival"),
    *("film", "play", "show", "market", "fair", "parade", "birthday party", "piano lesson", "football match", "dance"),
    *("book club", "yoga class", "swimming lesson", "school trip", "garden party", "quiz night", "tea party", "talk"),
    *("team meeting", "job interview", "cooking class", "chess game", "tennis match", "choir practice", "barbecue"),
)
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
TIMES = (
    *("8 am", "9 am", "10 am", "11 am", "1 pm", "2 pm", "3 pm", "4 pm", "5 pm", "6 pm", "7 pm", "8 pm", "9 pm"),
    *("08:30", "09:15", "10:00", "10:30", "11:45", "12:15", "13:00", "14:30", "15:45", "16:00", "17:30", "18:00"),
    *("19:00", "19:30", "20:15", "noon", "midnight", "half past two", "half past six", "six o'clock"),
    *("seven o'clock", "nine o'clock", "three o'clock", "8:30", "7:45", "4:20", "10 o'clock", "5 o'clock"),
)
ANIMALS = words(
    "cat dog rabbit hamster parrot goldfish turtle pony horse goat pig duck hen mouse rat snake lizard frog canary "
    "donkey sheep goose kitten puppy gerbil ferret budgie"
)
PET_NAMES = words(
    """
    Biscuit Bobby Bubbles Buddy Caramel Charlie Coco Cookie Daisy Domino Fifi Fluffy Ginger Goldie Hazel Honey Jet
    Lucky Milo Mimi Misty Mocha Muffin Nibbles Oreo Patch Peanut Pepper Pickle Pip Pixie Poppy Pudding Rex Rocky Rusty
    Scout Shadow Smokey Snowy Socks Sparky Spot Star Sunny Tiger Toffee Waffles Whiskers Ziggy
    """
)
TITLE_STARTS = (
    *("The Lost", "The Last", "The Red", "The Quiet", "The Blue", "The Old", "The Silver", "The Secret", "The Golden"),
    *("A Small", "The Long", "My Little", "The Broken", "The Hidden", "The Green", "A Cold", "The White", "The First"),
)
TITLE_ENDS = words(
    """
    Garden River House Sea Winter Summer Road Mountain Island Forest Bridge Letter Door Key Song City Tower Boat Moon
    Star Lake Mirror Clock Train Castle Harbour Window Lamp Storm Valley
    """
)
SURNAMES = words(
    """
    Adler Baker Barnes Bell Berg Brook Brown Carter Clark Cole Cooper Cruz Dale Dunn Ellis Evans Field Fischer Ford Fox
    Garcia Gray Green Hall Hart Hill Holm Hunt Jones Keller King Klein Lane Larsen Lee Lopez Marsh Martin Meyer Moore
    Moss Nash Novak Olsen Page Park Perez Price Reed Ricci Rossi Scott Shaw Silva Smith Stone Tanaka Walker Weber West
    White Wolf Wood Young
    """
)
