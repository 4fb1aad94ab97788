"""Names, cities and jobs."""

from ..wording import words

WOMEN = words(
    """
    Ada Agnes Alice Alma Amelia Amina Amy Anita Anna Anya Aria Astrid Audrey Aya Beatrice Bella Bianca Birgit Bonnie
    Camila Carla Carol Cecilia Celia Chiara Chloe Clara Claire Daisy Dana Daphne Delia Diana Dina Dora Edith Elena
    Elif Elise Ella Ellen Elsa Emily Emma Erica Esther Eva Fatima Fiona Flora Freya Gina Gloria Grace Greta Hana
    Hannah Hazel Heidi Helen Ida Ines Ingrid Irene Iris Isabel Ivy Jane Jasmine Jenny Joan Joy Judith Julia June
    Kate Kira Laila Laura Lena Leah Lily Linda Lisa Lola Lucy Luna Mabel Magda Maja Mara Maria Marta Mary Maya Meera
    Mei Mia Mina Miriam Molly Nadia Naomi Nell Nina Noor Nora Olga Olive Pam Paula Petra Pia Polly Priya Rita Rosa
    Rose Ruby Ruth Sally Sara Selma Sofia Sonia Stella Sue Tanya Tara Tess Tina Ursula Vera Violet Wendy Willa Yara
    Yuki Zara Zoe
    """
)
MEN = words(
    """
    Aaron Adam Ahmed Alan Albert Alex Ali Anton Arthur Basil Ben Bill Boris Bruno Carl Carlos Cedric Chris Colin Cyril
    Dan Daniel David Dennis Diego Dmitri Eddie Edgar Elias Emil Enzo Eric Ethan Evan Felix Finn Frank Fred Gary
    George Gus Hamid Hans Harry Hassan Hector Henry Hugo Ian Igor Isaac Ivan Jack Jacob Jakob James Jan Jim Joe John
    Jonas Jorge Josh Juan Karl Ken Kenji Kofi Kurt Lars Lee Leo Leon Liam Louis Luca Lucas Luis Marc Mark Martin
    Mateo Max Mehdi Mike Milo Mohammed Nick Niko Noah Olaf Oliver Omar Oscar Otto Owen Pablo Paul Pedro Pete Peter
    Philip Pierre Rafael Raj Ralph Ravi Ray Remy Rob Robin Roger Roman Ron Rory Sam Samir Sean Seth Simon Stan Stefan
    Steve Sven Tariq Ted Theo Tim Toby Tom Tony Umar Victor Vince Walter Wei Will Yusuf Zack
    """
)
NAMES = WOMEN + MEN
CITIES = (
    *("Accra", "Algiers", "Amman", "Amsterdam", "Ankara", "Antwerp", "Athens", "Auckland", "Austin", "Baghdad"),
    *("Bangkok", "Barcelona", "Basel", "Beijing", "Beirut", "Belfast", "Belgrade", "Bergen", "Berlin", "Bern"),
    *("Bogota", "Bologna", "Bonn", "Boston", "Bremen", "Brighton", "Bristol", "Brussels", "Bucharest", "Budapest"),
    *("Cairo", "Calgary", "Cambridge", "Cape Town", "Cardiff", "Chicago", "Cologne", "Copenhagen", "Cork", "Dakar"),
    *("Dallas", "Damascus", "Delhi", "Denver", "Detroit", "Doha", "Dresden", "Dubai", "Dublin", "Durban"),
    *("Edinburgh", "Florence", "Frankfurt", "Geneva", "Genoa", "Ghent", "Glasgow", "Graz", "Hamburg", "Hanoi"),
    *("Havana", "Helsinki", "Hong Kong", "Houston", "Istanbul", "Jakarta", "Kampala", "Karachi", "Kyiv", "Kyoto"),
    *("Lagos", "Lahore", "Leeds", "Leipzig", "Lille", "Lima", "Lisbon", "Liverpool", "Ljubljana", "London"),
    *("Lyon", "Madrid", "Manchester", "Manila", "Marseille", "Melbourne", "Miami", "Milan", "Minsk", "Montreal"),
    *("Moscow", "Mumbai", "Munich", "Nairobi", "Nantes", "Naples", "New York", "Nice", "Osaka", "Oslo"),
    *("Ottawa", "Oxford", "Palermo", "Paris", "Perth", "Porto", "Prague", "Quito", "Reykjavik", "Riga"),
    *("Rio", "Rome", "Rotterdam", "Salzburg", "San Diego", "Santiago", "Sarajevo", "Seattle", "Seoul", "Seville"),
    *("Shanghai", "Singapore", "Skopje", "Sofia", "Stockholm", "Sydney", "Taipei", "Tallinn", "Tehran", "Tokyo"),
    *("Toronto", "Toulouse", "Tunis", "Turin", "Utrecht", "Valencia", "Vancouver", "Venice", "Verona", "Vienna"),
    *("Vilnius", "Warsaw", "Wellington", "York", "Zagreb", "Zurich"),
)
JOBS = (
    *(
        "accountant",
        "actor",
        "architect",
        "artist",
        "astronaut",
        "baker",
        "banker",
        "barber",
        "beekeeper",
        "bookseller",
    ),
    *("builder", "bus driver", "butcher", "carpenter", "cashier", "chef", "chemist", "cleaner", "clown", "coach"),
    *("composer", "cook", "dancer", "dentist", "designer", "detective", "diver", "doctor", "driver", "editor"),
    *("electrician", "engineer", "farmer", "film director", "firefighter", "fisherman", "florist", "gardener"),
    *("geologist", "guard", "guide", "hairdresser", "historian", "inventor", "janitor", "jeweller", "journalist"),
    *("judge", "lawyer", "librarian", "lifeguard", "magician", "manager", "mechanic", "midwife", "miner", "model"),
    *("musician", "nanny", "nurse", "optician", "painter", "pharmacist", "photographer", "pianist", "pilot", "plumber"),
    *("poet", "police officer", "porter", "postman", "potter", "printer", "programmer", "reporter", "sailor"),
    *("scientist", "sculptor", "secretary", "shepherd", "shoemaker", "shop assistant", "singer", "soldier", "surgeon"),
    *("tailor", "taxi driver", "teacher", "translator", "truck driver", "vet", "waiter", "watchmaker", "writer"),
)
